"""Telling the others that this worker is there: `/health` and `ultra doctor` read it."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.presence import BEAT_SECONDS, EXPIRES_SECONDS, WORKERS_KEY, worker_key
from worker.kinds import Kind

logger = logging.getLogger(__name__)


class Presence:
    """A record in Redis that expires unless it is renewed."""

    def __init__(self, redis: "Redis", name: str, kind: Kind, in_flight: Callable[[], int]) -> None:
        self._redis = redis
        self._name = name
        self._kind = kind
        self._in_flight = in_flight
        self._started_at = datetime.now(UTC).isoformat()

    async def keep(self) -> None:
        """Renew the record for ever."""
        while True:
            try:
                await self._renew()
            except (RedisError, OSError) as error:
                logger.warning("presence not renewed, Redis is away: %s", error)
            await asyncio.sleep(BEAT_SECONDS)

    async def remove(self) -> None:
        """Sign off, so that nobody counts on this worker any more."""
        try:
            await self._redis.delete(worker_key(self._name))
            await self._redis.srem(WORKERS_KEY, self._name)
        except (RedisError, OSError) as error:
            logger.warning("presence not removed, it will expire: %s", error)

    async def _renew(self) -> None:
        record = {
            "name": self._name,
            "kind": self._kind.name,
            "queues": self._kind.queues,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "in_flight": self._in_flight(),
            "started_at": self._started_at,
        }
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(worker_key(self._name), orjson.dumps(record), ex=EXPIRES_SECONDS)
        pipeline.sadd(WORKERS_KEY, self._name)
        await pipeline.execute()
