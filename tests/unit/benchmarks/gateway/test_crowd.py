"""What a reader of the crowd sees of its stream, at times that are said."""

import asyncio

from benchmarks.gateway.crowd import Reader

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Wire(asyncio.Transport):
    """Where a reader writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_cut = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data == b"question"

    def abort(self) -> None:
        self.is_cut = True


def word(number: int) -> bytes:
    return b'data: {"choices": [{"delta": {"content":" %d"}}]}\n\n' % number


async def read(*pieces: tuple[float, bytes]) -> Reader:
    """A reader that asked at 0 s, and to which these pieces came at these seconds."""
    times = iter([0.0, *(at for at, _ in pieces)])
    reader, wire = Reader(b"question", asyncio.get_running_loop(), lambda: next(times)), Wire()
    reader.connection_made(wire)
    for _, piece in pieces:
        reader.data_received(piece)
    assert wire.is_cut == reader.is_whole
    return reader


async def test_a_stall_is_the_longest_time_between_two_words() -> None:
    reader = await read((1, HEAD + word(1)), (2.5, word(2)), (3, word(3) + word(4)), (9, b"data: [DONE]\n\n"))
    assert (reader.status, reader.words, reader.is_whole) == (b"200", 4, True)
    assert (reader.first_seconds, reader.stall_seconds) == (1, 1.5)


async def test_a_word_that_comes_in_two_pieces_comes_with_the_second() -> None:
    begun, ended = word(2)[:35], word(2)[35:]
    reader = await read((1, word(1)), (2, begun), (4, ended), (5, word(3)))
    assert (reader.words, reader.stall_seconds, reader.is_whole) == (3, 3, False)
