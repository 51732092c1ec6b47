"""A watcher's connection: its place in a job's channel, written out as Server-Sent Events."""

import asyncio
import time

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.events.channel import Channel, Reader
from api.events.clients import disconnected
from api.events.hub import Hub
from api.events.wire import OPENING

MEDIA_TYPE = "text/event-stream"
HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]
# How long an ended job's last event is looked for, before a watcher that resumes is sent on its way.
SETTLE_SECONDS = 2.0


class EventResponse(Response):
    """The events of a job after `last_event_id`, until the job's end, the client's, or the server's.

    A watcher that has seen the last event of an ended job is answered 204, at which browsers stop
    coming back.
    """

    def __init__(self, hub: Hub, job_id: str, last_event_id: str | None, *, has_ended: bool) -> None:
        super().__init__()
        self._hub = hub
        self._job_id = job_id
        self._last_event_id = last_event_id
        self._has_ended = has_ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._hub.watch(self._job_id, has_ended=self._has_ended) as channel:
            reader = Reader()
            channel.readers.add(reader)
            gone = asyncio.create_task(disconnected(receive))
            gone.add_done_callback(lambda _: reader.wake())
            try:
                if await self._is_all_seen(channel, reader):
                    await Response(status_code=204)(scope, receive, send)
                else:
                    await self._write(channel, reader, gone, send)
            except asyncio.CancelledError:
                if not reader.is_dropped:
                    raise
                # it took nothing for too long, which is no fault to tell the log of: the server cuts it off
                if (task := asyncio.current_task()) is not None:
                    task.uncancel()
            finally:
                gone.cancel()
                channel.readers.discard(reader)

    async def _is_all_seen(self, channel: Channel, reader: Reader) -> bool:
        if not self._has_ended or not self._last_event_id:
            return False
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while not channel.is_finished:
                    await reader.woken()
        except TimeoutError:
            return False
        return channel.position_after(self._last_event_id) == channel.end

    async def _write(self, channel: Channel, reader: Reader, gone: "asyncio.Task[None]", send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await _put(send, reader, OPENING)
        try:
            await self._follow(channel, reader, gone, send)
        except LookupError:
            return  # too slow by a whole history: cut off, it may come back
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, channel: Channel, reader: Reader, gone: "asyncio.Task[None]", send: Send) -> None:
        # Until something was sent, the place to resume may still be on its way from Redis.
        position: int | None = None
        while not gone.done() and not self._hub.is_closing:
            start = channel.position_after(self._last_event_id) if position is None else position
            chunk, stop = channel.read(start)
            if chunk:
                await _put(send, reader, chunk)
                position = stop
            elif channel.is_finished:
                return
            elif heartbeat := await reader.woken():
                await _put(send, reader, heartbeat)


async def _put(send: Send, reader: Reader, chunk: bytes) -> None:
    reader.sending_since = time.monotonic()
    await send({"type": "http.response.body", "body": chunk, "more_body": True})
    reader.sending_since = None
