"""Holding a request open until its job has ended."""

import asyncio
from contextlib import suppress

from starlette.types import Receive

from api.events.channel import Finish, Reader
from api.events.clients import disconnected
from api.events.hub import Hub


async def wait_for_end(hub: Hub, job_id: str, seconds: float, receive: Receive) -> Finish | None:
    """How the job ended, or None: the time ran out, the client went, or this server stops."""
    with hub.watch(job_id) as channel:
        reader = Reader()
        channel.readers.add(reader)
        gone = asyncio.create_task(disconnected(receive))
        gone.add_done_callback(lambda _: reader.wake())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not (channel.is_finished or hub.is_closing or gone.done()):
                        await reader.woken()
        finally:
            gone.cancel()
            channel.readers.discard(reader)
        return channel.finish
