"""The events of a job, written to one Redis stream a job, in order, and pipelined.

Redis Streams rather than pub/sub: an entry's id is the SSE id, so a reader that was away resumes with
what it missed. Events are a view for people who watch; the truth is in Postgres, and a reader that
finds no stream is served from there.
"""

import asyncio
import logging
import secrets
from typing import Any, Protocol
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.contracts.events import EventName
from common.ending import end

# A reader that comes later than this reads the finished job from Postgres.
KEEP_FINISHED_SECONDS = 3600
KEEP_RUNNING_SECONDS = 86_400
# About 2 MB of 200-byte deltas: a job that talks more loses its oldest events, never its answers.
MAX_EVENTS = 10_000
# Buffered while Redis is away; past it the oldest are dropped. Watchers then see a gap until the
# next `call.finished`, which carries the whole answer.
MAX_BUFFERED = 50_000
# A process that stops waits no longer for a Redis that is away: those who watch read the end from Postgres.
DRAIN_SECONDS = 5.0

CANCEL_CHANNEL = "ultra:cancel"

logger = logging.getLogger(__name__)


def stream_key(job_id: UUID | str) -> str:
    return f"ultra:events:{job_id}"


class Once:
    """Knows the events of one stream that came twice: a batch whose reply was lost is sent again.

    Each writer numbers what it writes, so what it sends again has a number that it has passed.
    """

    def __init__(self) -> None:
        self._passed: dict[bytes, int] = {}

    def is_new(self, number: bytes) -> bool:
        """Whether this event is no repetition. To be asked of every event, in their order."""
        writer, _, count = number.partition(b":")
        if not count.isdigit():
            return True  # of a version that did not number them
        is_new = int(count) > self._passed.get(writer, 0)
        if is_new:
            self._passed[writer] = int(count)
        return is_new


class EventSink(Protocol):
    """Where a job's events go."""

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None:
        """Add an event; never blocks and never fails: nobody's work depends on being watched."""
        ...


class EventLog:
    """An `EventSink` over Redis. What is appended while one flush is on its way leaves with the next."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._writer = secrets.token_hex(4)
        self._count = 0
        self._buffer: list[tuple[UUID, EventName, bytes, str]] = []
        self._flusher: asyncio.Task[None] | None = None

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None:
        """Add an event in the order of the calls to this method. Belongs to the event loop."""
        self._count += 1
        self._buffer.append((job_id, name, orjson.dumps(data), f"{self._writer}:{self._count}"))
        del self._buffer[:-MAX_BUFFERED]
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())

    async def drain(self, *, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until everything appended so far was sent; what Redis does not take by then is given up."""
        if self._flusher is not None:
            _, late = await asyncio.wait([self._flusher], timeout=seconds)
            await end(late)

    async def _flush(self) -> None:
        try:
            while self._buffer:
                await asyncio.sleep(0)  # lets a burst gather into one pipeline
                batch, self._buffer = self._buffer[:500], self._buffer[500:]
                try:
                    await self._send(batch)
                except (RedisError, OSError) as error:
                    logger.warning("events not written, Redis is away: %s", error)
                    self._buffer = batch + self._buffer
                    await asyncio.sleep(0.5)
        finally:
            self._flusher = None

    async def _send(self, batch: list[tuple[UUID, EventName, bytes, str]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for job_id, name, data, number in batch:
            pipeline.xadd(stream_key(job_id), {"e": name, "d": data, "n": number}, maxlen=MAX_EVENTS, approximate=True)
            # Only a job's first and last events set its life time: one command a token would double the work.
            if name == "job.finished":
                pipeline.expire(stream_key(job_id), KEEP_FINISHED_SECONDS)
            elif name == "job.status":
                pipeline.expire(stream_key(job_id), KEEP_RUNNING_SECONDS)
        await pipeline.execute()
