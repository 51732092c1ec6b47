"""JSON a line: whole lines out of the pieces that a connection brings."""

from collections.abc import Iterator

# A tool call comes in one line, arguments and all: this is the longest answer a call may ask for
# (131,072 tokens), written in JSON.
MAX_LINE_BYTES = 4 * 1024 * 1024


class LineTooLong(ValueError):
    """A line goes on for longer than any line of an answer."""


class LineBuffer:
    """Lines cut at line feeds, however the bytes arrive. Empty ones are left out.

    Holds no more than `longest` bytes, and the piece it was last fed.
    """

    def __init__(self, longest: int = MAX_LINE_BYTES) -> None:
        self._longest = longest
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that this piece completes, without their line feeds.

        Raises:
            LineTooLong: after the lines before it, and whether or not it has ended yet.
        """
        *ends, rest = piece.split(b"\n")
        for end in ends:
            self._hold(end)
            line = b"".join(self._held).strip()
            self._held, self._held_bytes = [], 0
            if line:
                yield line
        self._hold(rest)

    def end(self) -> Iterator[bytes]:
        """The last line of a stream that ended without a line feed."""
        return self.feed(b"\n")

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes > self._longest:
            raise LineTooLong(f"a line of more than {self._longest} bytes")
        self._held.append(piece)
