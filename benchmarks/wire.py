"""HTTP/1.1 over a bare asyncio stream: light enough that the generator is not what we measure.

It speaks what the two systems here speak (Content-Length or chunked bodies, keep-alive) and no more.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` are lower-cased."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One keep-alive connection to a server on 127.0.0.1; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once, as a client that died would."""
        self._writer.transport.abort()

    async def request(self, raw: bytes) -> Response:
        """Send a whole request as `encode` made it and read the whole response."""
        self._writer.write(raw)
        status, headers = await self._head()
        body = b"".join([part async for part in self._body(headers)])
        return Response(status, headers, body)

    async def stream(self, raw: bytes) -> tuple[int, AsyncIterator[bytes]]:
        """Send a request; its status, and the body's parts as they arrive, until the server ends it.

        Raises:
            asyncio.IncompleteReadError: while reading, if the connection breaks before the body's end.
        """
        self._writer.write(raw)
        status, headers = await self._head()
        return status, self._body(headers)

    async def _head(self) -> tuple[int, dict[str, str]]:
        status_line, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return int(status_line.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def _body(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        if headers.get("transfer-encoding") != "chunked":
            yield await self._reader.readexactly(int(headers.get("content-length", "0")))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)


def encode(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def is_listening(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts connections at the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
