import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.providers.ndjson import LineBuffer, LineTooLong


def lines(*pieces: bytes) -> list[bytes]:
    buffer = LineBuffer()
    return [line for piece in pieces for line in buffer.feed(piece)] + list(buffer.end())


@given(st.lists(st.binary().filter(lambda line: line.strip() == line != b"" and b"\n" not in line)), st.data())
def test_lines_are_the_same_however_the_bytes_arrive(said: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert lines(*pieces) == said


def test_empty_lines_and_carriage_returns_are_no_lines() -> None:
    assert lines(b"\n{}\r\n\r\n", b" \n{}") == [b"{}", b"{}"]


def test_a_last_line_needs_no_line_feed() -> None:
    assert lines(b'{"done"', b": true}") == [b'{"done": true}']


def test_a_line_is_refused_as_soon_as_it_is_too_long() -> None:
    buffer = LineBuffer(longest=10)
    assert list(buffer.feed(b"0123456789")) == []
    with pytest.raises(LineTooLong, match="10 bytes"):
        list(buffer.feed(b"x"))


def test_what_came_before_a_line_that_is_too_long_is_heard() -> None:
    feed = LineBuffer(longest=10).feed(b"short\n" + b"long" * 10 + b"\n")
    assert next(feed) == b"short"
    with pytest.raises(LineTooLong):
        next(feed)


def test_the_bound_is_a_line_s_and_not_the_stream_s() -> None:
    buffer = LineBuffer(longest=10)
    assert sum(len(list(buffer.feed(b"01234\n"))) for _ in range(100)) == 100
