"""The two streams of the engine that are no plain answers: progress as JSON lines, and logs in frames."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import orjson

Stream = Literal["stdout", "stderr"]

# One byte for the stream, three of nothing, four for the length: docs.docker.com, ContainerAttach, "Stream format".
HEADER_BYTES = 8
STDERR = 2
# The engine cuts a line into frames of 16 KiB, each with a time in front; nobody else needs more.
MAX_LOG_LINE_BYTES = 17 * 1024
MAX_JSON_LINE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a container wrote. `at` is the engine's own time, RFC 3339 with nanoseconds."""

    stream: Stream
    at: str
    text: str


class LogFrames:
    """Lines out of the frames that the engine wraps them into, one each.

    Holds no more than a line, and the piece it was last fed.
    """

    def __init__(self) -> None:
        self._header = b""
        self._body = b""
        self._missing = 0

    def feed(self, piece: bytes) -> Iterator[LogLine]:
        """The lines that this piece completes."""
        while piece:
            if self._missing:
                body, piece = piece[: self._missing], piece[self._missing :]
                self._missing -= len(body)
                self._body = (self._body + body)[:MAX_LOG_LINE_BYTES]
            else:
                missing = HEADER_BYTES - len(self._header)
                self._header, piece = self._header + piece[:missing], piece[missing:]
                if len(self._header) < HEADER_BYTES:
                    return
                self._missing = int.from_bytes(self._header[4:], "big")
            if not self._missing:
                yield self._line()
                self._header, self._body = b"", b""

    def _line(self) -> LogLine:
        at, _, text = self._body.decode(errors="replace").partition(" ")
        stream: Stream = "stderr" if self._header[0] == STDERR else "stdout"
        return LogLine(stream, at, text.rstrip("\r\n").replace("\0", "\ufffd"))


@dataclass(slots=True)
class PullTally:
    """How far a pull is. Each layer reports for itself, and layers appear as they are found."""

    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    fault: str | None = None

    def read(self, line: bytes) -> None:
        """Count what a line of the engine's answer says."""
        said = orjson.loads(line)
        if "error" in said:
            self.fault = str(said["error"])
        layer, detail = str(said.get("id")), said.get("progressDetail") or {}
        if said.get("status") == "Downloading" and "total" in detail:
            self.layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
        elif said.get("status") in {"Download complete", "Pull complete"} and layer in self.layers:
            total = self.layers[layer][1]
            self.layers[layer] = (total, total)

    @property
    def done_bytes(self) -> int:
        return sum(done for done, _ in self.layers.values())

    @property
    def total_bytes(self) -> int:
        """Of the layers known so far."""
        return sum(total for _, total in self.layers.values())
