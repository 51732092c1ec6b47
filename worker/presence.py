"""Telling the others that this worker is there, and whether it consumes: `/health` and `ultra doctor` read it."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.background import keep_doing
from common.lanes import Lane, queue_key
from common.presence import BEAT_SECONDS, CONSUMES, EXPIRES_SECONDS, PINNED_TO, WORKERS_KEY, worker_key
from worker.canary import Canary
from worker.kinds import Kind

logger = logging.getLogger(__name__)


class Presence:
    """A record in Redis that expires unless it is renewed. That it is proves the loop, what it says the consumer."""

    def __init__(self, redis: "Redis", name: str, kind: Kind, in_flight: Callable[[], int], canary: Canary) -> None:
        self._redis = redis
        self._name = name
        self._kind = kind
        self._in_flight = in_flight
        self._canary = canary
        self._changed = asyncio.Event()
        self._has_forgotten = False
        self._started_at = datetime.now(UTC).isoformat()

    async def keep(self) -> None:
        """Renew the record for ever, at once when there is news; first of all forget those who could not sign off."""
        await keep_doing(self._renew_until_news)

    def tell(self) -> None:
        """There is news. To be called on the loop."""
        self._changed.set()

    async def remove(self) -> None:
        """Sign off, so that nobody counts on this worker any more; its own queue goes too."""
        try:
            own_queue = (queue_key(self._canary.queue.name, lane) for lane in Lane)
            await self._redis.delete(worker_key(self._name), *own_queue)
            await self._redis.srem(WORKERS_KEY, self._name)
        except (RedisError, OSError) as error:
            logger.warning("presence not removed, it will expire: %s", error)

    async def _renew_until_news(self) -> None:
        self._changed.clear()
        try:
            await self._renew()
            if not self._has_forgotten:
                await self._forget_vanished()
                self._has_forgotten = True
        except (RedisError, OSError) as error:
            logger.warning("presence not renewed, Redis is away: %s", error)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), BEAT_SECONDS)

    async def _renew(self) -> None:
        record = {
            "name": self._name,
            "kind": self._kind.name,
            "queues": self._kind.queues,
            PINNED_TO: self._kind.gpu,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "in_flight": self._in_flight(),
            "started_at": self._started_at,
            "proved_at": self._canary.proved_at,
            CONSUMES: self._canary.is_proved,
        }
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(worker_key(self._name), orjson.dumps(record), ex=EXPIRES_SECONDS)
        pipeline.sadd(WORKERS_KEY, self._name)
        await pipeline.execute()

    async def _forget_vanished(self) -> None:
        """Names without a record. One that lives signs on again with its next beat."""
        names = [name.decode() for name in await cast("Awaitable[set[bytes]]", self._redis.smembers(WORKERS_KEY))]
        records = await self._redis.mget([worker_key(name) for name in names]) if names else []
        vanished = [name for name, record in zip(names, records, strict=True) if record is None]
        if vanished:
            await self._redis.srem(WORKERS_KEY, *vanished)
