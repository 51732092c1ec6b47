"""Responses that are made in a task of their own, which ends when their client goes away."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Answer(Response):
    """Runs `make(send)`; a fault that it raises before it sends anything becomes the response."""

    def __init__(self, make: Callable[[Send], Awaitable[None]]) -> None:
        super().__init__()
        self._make = make

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send the response, unless the client leaves first, before the first byte or after it."""
        work = asyncio.ensure_future(self._make(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)


class Events:
    """A stream of server-sent events; the response begins with the first."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def send(self, data: Any) -> None:
        """One event, as JSON."""
        if not self.has_begun:
            headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), NO_BUFFERING]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            self.has_begun = True
        await self._write(_json(data), more=True)

    async def end(self, fault: Any = None) -> None:
        """The last event: `[DONE]`, or the fault that broke the stream, which must not look whole."""
        await self._write(b"[DONE]" if fault is None else _json(fault), more=False)

    async def _write(self, data: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": b"data: %b\n\n" % data, "more_body": more})


NO_BUFFERING = (b"x-accel-buffering", b"no")


async def send_json(send: Send, body: Any) -> None:
    """A whole response."""
    content = _json(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
