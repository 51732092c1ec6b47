"""A Redis whose reply to a batch of events is lost: the batch is sent again, and nobody sees it twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from redis.asyncio import Redis

from api.events.channel import Reader
from api.events.hub import Hub
from api.events.source import RedisSource
from common.events import EventLog, stream_key
from common.ids import uuid7
from tests.unit.api.streams import FakeEndings

SOON_SECONDS = 60


class Losing:
    """Between a client and Redis: hands everything on, and loses the first reply to an XADD with its connection."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self.has_lost = False
        self._is_losing = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection(*self._there)
        replying = asyncio.create_task(self._reply(from_redis, writer))
        try:
            while asked := await reader.read(65_536):
                self._is_losing = b"XADD" in asked and not self.has_lost
                to_redis.write(asked)
        finally:
            to_redis.close()
            await replying

    async def _reply(self, from_redis: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while reply := await from_redis.read(65_536):
            if self._is_losing:
                self.has_lost = True
                break
            writer.write(reply)
        writer.close()


@asynccontextmanager
async def losing(redis_url: str) -> AsyncIterator[tuple[Losing, str]]:
    there = urlsplit(redis_url)
    assert there.hostname is not None
    assert there.port is not None
    between = Losing(there.hostname, there.port)
    async with await asyncio.start_server(between.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield between, redis_url.replace(f":{there.port}", f":{port}")


async def texts(redis_url: str, job_id: UUID, count: int) -> list[str]:
    """The texts that a watcher is shown, `count` events or more."""
    async with Redis.from_url(redis_url) as reading, Redis.from_url(redis_url) as redis:
        hub = Hub(RedisSource(reading, redis), FakeEndings())
        async with hub.running():
            with hub.watch(str(job_id)) as channel:
                reader = Reader()
                channel.readers.add(reader)
                async with asyncio.timeout(SOON_SECONDS):
                    while channel.end < count:
                        await reader.woken()
                said = channel.read(0)[0]
    return [orjson.loads(line[6:])["text"] for line in said.split(b"\n") if line.startswith(b"data: ")]


async def test_a_batch_whose_reply_was_lost_is_shown_once(redis_url: str) -> None:
    job_id = uuid7()
    async with losing(redis_url) as (between, url), Redis.from_url(url) as redis:
        events = EventLog(redis)
        for text in ("Light ", "scatters", "."):
            events.append(job_id, "call.delta", {"call": "c", "model": "m", "text": text})
        await events.drain(seconds=SOON_SECONDS)
        assert between.has_lost
        events.append(job_id, "call.delta", {"call": "c", "model": "m", "text": " Blue most."})
        await events.drain(seconds=SOON_SECONDS)
    entries: Any = None
    async with Redis.from_url(redis_url) as redis:
        entries = await redis.xrange(stream_key(job_id))
    assert len(entries) == 7, "sent twice, as far as Redis knows"
    assert "".join(await texts(redis_url, job_id, 4)) == "Light scatters. Blue most."
