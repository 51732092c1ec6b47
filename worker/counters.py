"""Counting what operators should hear of, and reporting it to Redis every few seconds."""

import logging
from collections import Counter

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.background import keep_doing
from common.counters import COUNTERS_KEY, FLUSH_SECONDS, SWEPT_KEY, SWEPT_LIFE_SECONDS, Count

logger = logging.getLogger(__name__)

# What a process counted and has not reported. Counting is an addition in memory, so it cannot fail a call.
Tally = Counter[Count]


def count_time(tally: Tally, times: Count, milliseconds: Count, seconds: float) -> None:
    """Count something that took a while: that it was, and for how long."""
    tally[times] += 1
    tally[milliseconds] += round(seconds * 1000)


class Report:
    """Adds a tally to what all workers counted. Belongs to the event loop that counts."""

    def __init__(self, redis: "Redis", tally: Tally) -> None:
        self._redis = redis
        self._tally = tally

    async def keep(self) -> None:
        """Report for ever."""
        await keep_doing(self.send, pause_seconds=FLUSH_SECONDS)

    async def send(self) -> None:
        """Report what was counted since; while Redis is away it is kept for the next time. Never raises.

        A report whose confirmation got lost is sent again: the figures may be too high by one report.
        """
        counted = +self._tally
        if not counted:
            return
        self._tally.clear()
        pipeline = self._redis.pipeline(transaction=True)
        for count, number in counted.items():
            pipeline.hincrby(COUNTERS_KEY, count, number)
        if counted[Count.SWEEPS]:
            pipeline.set(SWEPT_KEY, "1", ex=SWEPT_LIFE_SECONDS)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            self._tally.update(counted)
            logger.warning("counts not reported, Redis is away: %s", error)
