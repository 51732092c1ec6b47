import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.providers.sse import EventBuffer, EventTooLong


def events(*pieces: bytes) -> list[bytes]:
    buffer = EventBuffer()
    return [event for piece in pieces for event in buffer.feed(piece)] + list(buffer.end())


@given(
    st.lists(st.binary(min_size=1).filter(lambda data: not set(data) & set(b"\r\n"))),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.data(),
)
def test_events_are_the_same_however_the_bytes_arrive(said: list[bytes], line_end: bytes, data: st.DataObject) -> None:
    stream = b"".join(b"data: " + event + line_end * 2 for event in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(*pieces) == said


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_lines_of_data_are_joined_until_an_empty_line(line_end: bytes) -> None:
    stream = line_end.join([b"data: one", b"data:two", b"data:  three", b"", b"data: four", b"", b""])
    assert events(stream) == [b"one\ntwo\n three", b"four"]
    assert events(*(stream[place : place + 1] for place in range(len(stream)))) == [b"one\ntwo\n three", b"four"]


def test_comments_and_other_fields_are_no_data() -> None:
    stream = b": waiting\n\nevent: message\nid: 7\nretry: 10\n: still\ndata: {}\n\nevent: ping\n\n"
    assert events(stream) == [b"{}"]


def test_what_has_no_field_is_data_as_it_is() -> None:
    assert events(b'data: {}\n\n{\n  "error": {}\n}\n') == [b"{}", b'{\n  "error": {}\n}']


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_event_needs_no_empty_line(ending: bytes) -> None:
    assert events(b"data: {}" + ending) == [b"{}"]


def test_an_event_is_refused_as_soon_as_it_is_too_long() -> None:
    buffer = EventBuffer(longest=20)
    assert list(buffer.feed(b"data: 0123456789\n")) == []
    assert list(buffer.feed(b"data: 0123")) == []
    with pytest.raises(EventTooLong, match="20 bytes"):
        list(buffer.feed(b"x"))


def test_what_came_before_an_event_that_is_too_long_is_heard() -> None:
    feed = EventBuffer(longest=10).feed(b"data: one\n\ndata: " + b"long" * 10)
    assert next(feed) == b"one"
    with pytest.raises(EventTooLong):
        next(feed)


def test_the_bound_is_an_event_s_and_not_the_stream_s() -> None:
    buffer = EventBuffer(longest=20)
    assert sum(len(list(buffer.feed(b": a comment\ndata: 0123\n\n"))) for _ in range(100)) == 100
    assert [event for _ in range(100) for event in buffer.feed(b": a comment\n")] == []
