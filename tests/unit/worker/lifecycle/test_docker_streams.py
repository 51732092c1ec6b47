import orjson
from hypothesis import given
from hypothesis import strategies as st

from worker.lifecycle.docker_streams import MAX_LOG_LINE_BYTES, LogFrames, LogLine, PullTally


def frame(stream: int, body: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8), st.integers(1, 7))
def test_lines_are_the_same_however_the_connection_cuts_them(written: list[tuple[int, bytes]], size: int) -> None:
    whole = b"".join(frame(stream, body) for stream, body in written)
    pieces, at_once = LogFrames(), LogFrames()
    lines = [line for start in range(0, len(whole), size) for line in pieces.feed(whole[start : start + size])]
    assert lines == list(at_once.feed(whole))
    assert [line.stream for line in lines] == ["stdout" if stream == 1 else "stderr" for stream, _ in written]


def test_a_line_is_told_with_its_stream_and_the_time_of_its_writing() -> None:
    at = "2026-11-21T10:00:00.1Z"
    said = frame(1, f"{at} one line\n".encode()) + frame(2, f"{at} wörld\r\n".encode())
    assert list(LogFrames().feed(said)) == [LogLine("stdout", at, "one line"), LogLine("stderr", at, "wörld")]


def test_a_line_is_bounded_and_what_no_database_stores_is_replaced() -> None:
    frames = LogFrames()
    (line,) = frames.feed(frame(1, b"at " + b"x" * 10 * MAX_LOG_LINE_BYTES))
    assert len(line.text) == MAX_LOG_LINE_BYTES - len("at ")
    (line,) = frames.feed(frame(1, b"at nul\0 and \xff\n"))
    assert line.text == "nul\ufffd and \ufffd"


def test_a_pull_counts_the_bytes_of_all_layers_and_never_goes_back() -> None:
    tally = PullTally()
    for said in (
        {"status": "Pulling from library/x", "id": "latest"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Download complete", "id": "a", "progressDetail": {}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 1, "total": 100}},
        {"status": "Already exists", "id": "c", "progressDetail": {}},
    ):
        tally.read(orjson.dumps(said))
    assert (tally.done_bytes, tally.total_bytes, tally.fault) == (105, 150, None)


def test_a_fault_in_the_middle_of_a_pull_is_seen_though_the_answer_was_good() -> None:
    tally = PullTally()
    tally.read(orjson.dumps({"errorDetail": {"message": "no space left"}, "error": "no space left"}))
    assert tally.fault == "no space left"
