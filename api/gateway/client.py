"""The client's end of one request: what it sent, what it is sent, and whether it is still there.

ASGI says of a client that left only what `receive` is asked for, and of one that does not read only that `send`
waits. Both are looked at once a request has lasted a moment: most are over by then, and cost nothing for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from api.gateway.envelope import Header, Refusal, TooLarge

# Requests shorter than this are never watched; a client that leaves a longer one is noticed at once.
UNWATCHED_SECONDS = 0.02
# How long a client that has left its connection open may take to see it closed.
PARTING_SECONDS = 2.0

JSON_HEADER = (b"content-type", b"application/json")
SSE_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
HEARTBEAT = b": still at it\n\n"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: of a stream's silence until it is filled, and of a client's until it is cut off."""

    heartbeat: float = 5.0
    stuck: float = 60.0

    @property
    def look(self) -> float:
        """How often both are looked at."""
        return min(1.0, self.heartbeat / 4, self.stuck / 4)


class Lost(Exception):
    """The client is gone."""


class Client:
    """Belongs to the task that serves the request; that task is cancelled when the client is lost.

    `headers` go out with whatever is answered; `route` is what metrics call its path.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: bytes, patience: Patience) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self.headers: list[Header] = [(b"x-request-id", request_id)]
        self.route = "unmatched"
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._listening: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._wants_heartbeats = False
        self._quiet_since = 0.0
        self._writing_since: float | None = None
        self.status = 0
        self.is_lost = False
        self._is_stuck = False

    @property
    def has_begun(self) -> bool:
        """Whether the status is sent."""
        return self.status != 0

    async def body(self, most: int) -> bytes:
        """What it sent.

        Raises:
            TooLarge: more than that; the rest is left unread.
            Lost: it left before it had sent everything.
        """
        for name, value in self.scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > most:
                raise _too_large(most)
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.is_lost = True
                raise Lost
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > most:
                raise _too_large(most)
            if not message.get("more_body"):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def watch(self, *, is_streamed: bool) -> None:
        """From now on cancel the current task when the client is lost; a stream's silence is filled."""
        self._task = asyncio.current_task()
        self._wants_heartbeats = is_streamed
        self._quiet_since = self._loop.time()
        self._timer = self._loop.call_later(UNWATCHED_SECONDS, self._begin_to_listen)

    def unwatch(self) -> None:
        """It has all of its answer, or will not get it: nothing is cancelled any more if it leaves."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in (self._listening, self._beating):
            if task is not None:
                task.cancel()

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """The whole response."""
        await self._start(status, [JSON_HEADER, (b"content-length", b"%d" % len(body)), *headers])
        await self._write({"type": "http.response.body", "body": body})

    async def begin_stream(self, headers: Sequence[Header]) -> None:
        """200, and events from now on. If a heartbeat came before, the headers are lost."""
        if not self.has_begun:
            await self._start(200, [*SSE_HEADERS, *headers])

    async def write(self, events: bytes) -> None:
        """Send whole events; waits while the client has much to read already."""
        await self._write({"type": "http.response.body", "body": events, "more_body": True})

    async def end_stream(self, events: bytes) -> None:
        """Send the last events: the stream was whole."""
        await self._write({"type": "http.response.body", "body": events})

    async def refuse(self, refused: Refusal) -> None:
        """Tell of a failure: by its status, or once that was sent by a last event and a connection that is cut.

        Nothing ends as if it were whole: neither the stream nor the HTTP response.
        """
        if not self.has_begun:
            await self.answer(refused.status, refused.headers, refused.body)
            return
        await self.write(b"data: %b\n\n" % refused.body)
        await self.cut()

    async def cut(self) -> None:
        """Close the connection in the middle of the response; what was written is still sent, if it is read.

        ASGI has no word for it, but uvicorn's `send` is a method of what holds the transport. Another server cuts
        by itself when an app returns before the end of its response.
        """
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is None:
            return
        if self._is_stuck:
            transport.abort()
        else:
            transport.close()
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        self._task = None
        await asyncio.wait({self._listening}, timeout=PARTING_SECONDS)
        if not self._listening.done():
            transport.abort()
            await asyncio.wait({self._listening}, timeout=PARTING_SECONDS)

    async def _start(self, status: int, headers: list[Header]) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers + self.headers})

    async def _write(self, message: dict[str, Any]) -> None:
        self._writing_since = self._quiet_since = self._loop.time()
        await self._send(message)
        self._writing_since = None
        if not message.get("more_body"):
            self.unwatch()  # ASGI says "disconnect" of an answer that is complete, too

    def _begin_to_listen(self) -> None:
        self._listening = asyncio.create_task(self._listen())
        self._timer = self._loop.call_later(self._patience.look, self._look)

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._lose()

    def _look(self) -> None:
        """Once in a while: is it stuck, has it been quiet for long?"""
        now = self._loop.time()
        if self._writing_since is not None:
            if now - self._writing_since >= self._patience.stuck:
                self._is_stuck = True
                self._lose()
                return
        elif self._wants_heartbeats and now - self._quiet_since >= self._patience.heartbeat:
            self._beating = asyncio.create_task(self._beat())
        self._timer = self._loop.call_later(self._patience.look, self._look)

    async def _beat(self) -> None:
        await self.begin_stream(())
        await self.write(HEARTBEAT)

    def _lose(self) -> None:
        self.is_lost = True
        if self._task is not None:
            self._task.cancel()


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than {most} bytes (ULTRA_CHAT_BODY_MIB).")
