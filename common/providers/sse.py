"""Server-sent events: the data of each, out of the pieces that a connection brings.

httpx2 has a reader of its own, which puts U+FFFD for bytes that are no UTF-8: a broken answer would pass
for a whole one. Here bytes stay bytes, and who reads them says what is wrong with them.

Source: the event stream format of the HTML standard, 9.2.6.
"""

import re
from collections.abc import Iterator

# A tool call comes in one event, arguments and all: this is the longest answer a call may ask for
# (131,072 tokens), written in JSON.
MAX_EVENT_BYTES = 4 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n?|\n")

# What an event has beside its data. A comment's name is empty.
_OTHER_FIELDS = frozenset({b"", b"event", b"id", b"retry"})


class EventTooLong(ValueError):
    """An event goes on for longer than any event of an answer."""


class EventBuffer:
    """The data of events, however the bytes arrive. Events without data are left out.

    A line of no known field counts as data, where the standard would drop it: Google writes an error in the
    middle of a stream as bare JSON. Holds no more than `longest` bytes, and the piece it was last fed.
    """

    def __init__(self, longest: int = MAX_EVENT_BYTES) -> None:
        self._longest = longest
        self._line: list[bytes] = []  # the pieces of a line that has not ended
        self._line_bytes = 0
        self._data: list[bytes] = []  # the lines of an event that has not ended
        self._data_bytes = 0
        self._is_after_cr = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of the events that this piece completes.

        Raises:
            EventTooLong: after the events before it, and whether or not it has ended yet.
        """
        if self._is_after_cr:
            piece = piece.removeprefix(b"\n")  # the other half of a line's end
        self._is_after_cr = piece.endswith(b"\r")
        *ends, rest = _LINE_END.split(piece)
        for end in ends:
            self._hold(end)
            line = b"".join(self._line)
            self._line, self._line_bytes = [], 0
            if line:
                self._take(line)
            elif self._data:
                yield b"\n".join(self._data)
                self._data, self._data_bytes = [], 0
        self._hold(rest)

    def end(self) -> Iterator[bytes]:
        """The last event of a stream that ended without an empty line."""
        self._is_after_cr = False
        return self.feed(b"\n\n")

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name in _OTHER_FIELDS:
            return
        data = value.removeprefix(b" ") if name == b"data" else line
        self._data.append(data)
        self._data_bytes += len(data)

    def _hold(self, piece: bytes) -> None:
        self._line_bytes += len(piece)
        if self._line_bytes + self._data_bytes > self._longest:
            raise EventTooLong(f"an event of more than {self._longest} bytes")
        self._line.append(piece)
