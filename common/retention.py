"""Removing jobs that ended long ago, a little at a time, so that nobody who works notices.

Safe to interrupt and to run twice at once: each batch is a commit of its own, and leaves out what another has.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from common.database import retention
from common.events import stream_key

# Some 50 ms of deleting: for so long a batch holds its locks, and fills the write-ahead log.
BATCH = 500
# Postgres rests between two batches, and for at least as long as the last one took.
REST_SECONDS = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removed:
    """What one batch removed."""

    jobs: int
    calls: int


async def remove_older(
    connection: AsyncConnection,
    redis: Redis,
    age: timedelta,
    *,
    batch: int = BATCH,
    rest_seconds: float = REST_SECONDS,
) -> AsyncGenerator[Removed]:
    """Remove the jobs that ended longer ago than `age`, oldest first, with their calls and events.

    Yields after each batch, at least once; a caller that stops asking stops the removal. Redis being away stops
    nothing: events expire by themselves.
    """
    since = datetime.min.replace(tzinfo=UTC)
    while True:
        begun = time.monotonic()
        rows = (await connection.execute(retention.remove_older(age, since, batch))).all()
        took_seconds = time.monotonic() - begun
        await _forget_events(redis, [row.id for row in rows])
        yield Removed(jobs=len(rows), calls=sum(row.total for row in rows))
        if len(rows) < batch:
            return
        since = max(row.finished_at for row in rows)
        await asyncio.sleep(max(rest_seconds, took_seconds))


async def _forget_events(redis: Redis, job_ids: Sequence[UUID]) -> None:
    if not job_ids:
        return
    try:
        await redis.unlink(*(stream_key(job_id) for job_id in job_ids))
    except (RedisError, OSError) as error:
        logger.warning("events of %d removed jobs not removed, they will expire: %s", len(job_ids), error)
