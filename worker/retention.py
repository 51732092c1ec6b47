"""Retention by schedule: what ended long ago is removed.

Like the sweep it runs in every control worker, and an advisory lock lets one at a time do it.
"""

import logging
from datetime import timedelta

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.background import keep_doing
from common.retention import BATCH, remove_older

# Any number that nobody else uses: 'rete' in ASCII. Of the session, for it is held over many commits.
_LOCK = text("SELECT pg_try_advisory_lock(1919251557)")
_UNLOCK = text("SELECT pg_advisory_unlock(1919251557)")
# A job is kept for days: nobody minds minutes.
INTERVAL_SECONDS = 600.0

logger = logging.getLogger(__name__)


class Retention:
    """Removes the jobs that ended longer ago than `keep_finished`."""

    def __init__(
        self,
        engine: AsyncEngine,
        redis: Redis,
        *,
        keep_finished: timedelta,
        interval_seconds: float = INTERVAL_SECONDS,
        batch: int = BATCH,
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._keep_finished = keep_finished
        self._interval_seconds = interval_seconds
        self._batch = batch

    async def keep(self) -> None:
        """Remove for ever; Postgres being away only postpones it."""
        await keep_doing(self._remove_and_tell, pause_seconds=self._interval_seconds)

    async def once(self) -> int:
        """Remove all that is old enough; returns how many jobs that were, 0 if another worker is at it."""
        async with self._engine.connect() as connection:
            if not (await connection.execute(_LOCK)).scalar():
                return 0
            try:
                batches = remove_older(connection, self._redis, self._keep_finished, batch=self._batch)
                return sum([removed.jobs async for removed in batches])
            finally:
                # A connection that broke took its session along, and the lock with it.
                if not connection.invalidated:
                    await connection.execute(_UNLOCK)

    async def _remove_and_tell(self) -> None:
        try:
            if removed := await self.once():
                logger.info("removed %d jobs that ended more than %s ago", removed, self._keep_finished)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("old jobs not removed, will try again: %s", error)
