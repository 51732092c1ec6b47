"""Slots a model: how many calls its server works on at once, over every process of both planes.

For models whose entry in the catalog declares `slots`. Whoever finds none free stands in line, by the time of
arrival; a job's call lets those go first that came up to JOB_HANDICAP_SECONDS after it, for somebody waits for
them. A chat is turned away where the line is too long, or takes too long. A job's call waits: it has time, its
worker has a bounded number of them, and what a full line would cost it is one of its few attempts.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.admission.room import GRANTED, LEASE_SECONDS, SEEN_SECONDS, TURNED_AWAY, Room
from common.cancelling import cancellable
from common.catalog.entry import ModelEntry
from common.circuits import circuit_key
from common.ending import end
from common.errors import RateLimited

JOB_HANDICAP_SECONDS = 5.0
# Chats in the line before one: a chat that waited for more would wait for minutes.
MAX_AHEAD_PER_SLOT = 8
NO_BOUND = 1_000_000_000

# The first in line looks this often, the tenth a tenth as often, nobody less often than every second.
LOOK_SECONDS = 0.05
MAX_LOOK_SECONDS = 1.0
# After Redis failed to answer nobody asks it for so long.
REST_SECONDS = 1.0
RENEW_SECONDS = LEASE_SECONDS / 3

logger = logging.getLogger(__name__)

# The rules of room.py. KEYS: holders (score: when the lease ends), line (score: turn), seen (score: last look).
_LOOK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local token, slots, max_ahead, handicap, lease, seen =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - seen)) do
  redis.call('ZREM', KEYS[2], dead)
  redis.call('ZREM', KEYS[3], dead)
end
if redis.call('ZSCORE', KEYS[1], token) then return -1 end
local is_new = redis.call('ZADD', KEYS[2], 'NX', now + handicap, token) == 1
local ahead = redis.call('ZRANK', KEYS[2], token)
local free = slots - redis.call('ZCARD', KEYS[1])
if ahead < free then
  redis.call('ZREM', KEYS[2], token)
  redis.call('ZREM', KEYS[3], token)
  redis.call('ZADD', KEYS[1], now + lease, token)
  redis.call('PEXPIRE', KEYS[1], 2 * lease)
  return -1
end
local behind_free = ahead - math.max(free, 0)
if is_new and behind_free >= max_ahead then
  redis.call('ZREM', KEYS[2], token)
  return -2
end
redis.call('ZADD', KEYS[3], now, token)
redis.call('PEXPIRE', KEYS[2], 2 * lease)
redis.call('PEXPIRE', KEYS[3], 2 * lease)
return behind_free
"""
_RENEW = """
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[1], clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[2])
return 1
"""


class Slot:
    """A place at a model, held until it is released."""

    def __init__(self, slots: "Slots", model: str, token: str) -> None:
        self.model = model
        self.token = token
        self._slots = slots

    def release(self) -> None:
        """Make room for the next one; returns at once."""
        self._slots.release(self)


class Slots:
    """The slots of every model, for one process. Belongs to one event loop; without Redis it has them to itself.

    `redis` should give up soon (`common.admission.shared.admission_redis`). Those of the job plane are patient: they
    let others go first, and stand in a line of any length.
    """

    def __init__(self, redis: "Redis", *, is_patient: bool) -> None:
        self._redis = redis
        self._handicap = JOB_HANDICAP_SECONDS if is_patient else 0.0
        self._is_patient = is_patient
        self._look_script = redis.register_script(_LOOK)
        self._renew_script = redis.register_script(_RENEW)
        self._rooms: dict[str, Room] = {}
        self._held: dict[str, Slot] = {}
        self._numbers = count()
        self._process = os.urandom(8).hex()
        self._rests_until = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(self, entry: ModelEntry, *, patience_seconds: float = math.inf) -> AsyncIterator[None]:
        """Hold a slot of this model meanwhile. Raises what `take` raises."""
        slot = await self.take(entry, patience_seconds=patience_seconds)
        try:
            yield
        finally:
            slot.release()

    async def take(self, entry: ModelEntry, *, patience_seconds: float = math.inf) -> Slot:
        """A slot of this model, which must declare `slots`; waits for one for `patience_seconds` at most.

        Raises:
            RateLimited: the line is too long, or took too long.
        """
        slot = Slot(self, circuit_key(entry.provider, entry.name), f"{self._process}-{next(self._numbers)}")
        try:
            await self._wait(slot, entry, patience_seconds)
        except BaseException:
            self._leave(slot)
            raise
        self._held[slot.token] = slot
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        return slot

    def release(self, slot: Slot) -> None:
        """See `Slot.release`; a second time it does nothing."""
        if self._held.pop(slot.token, None) is not None:
            self._leave(slot)

    async def close(self) -> None:
        """Wait until what was released is free for others, or given up."""
        if self._renewing is not None:
            await end([self._renewing])
        await asyncio.gather(*self._leaving)

    async def _wait(self, slot: Slot, entry: ModelEntry, patience_seconds: float) -> None:
        assert entry.slots is not None
        max_ahead = NO_BOUND if self._is_patient else entry.slots * MAX_AHEAD_PER_SLOT
        gives_up_at = time.monotonic() + patience_seconds
        while (ahead := await self._look(slot, entry.slots, max_ahead)) != GRANTED:
            if ahead == TURNED_AWAY:
                raise RateLimited(f"{max_ahead} requests wait for {entry.id} already.", retry_after_seconds=1)
            if (left := gives_up_at - time.monotonic()) <= 0:
                said = f"{entry.id} had no time for this request within {patience_seconds:g} s."
                raise RateLimited(said, retry_after_seconds=1)
            await asyncio.sleep(min(LOOK_SECONDS * (ahead + 1), MAX_LOOK_SECONDS, left))

    async def _look(self, slot: Slot, slots: int, max_ahead: int) -> int:
        if time.monotonic() >= self._rests_until:
            milliseconds = [round(1000 * seconds) for seconds in (self._handicap, LEASE_SECONDS, SEEN_SECONDS)]
            arguments: list[str | int] = [slot.token, slots, max_ahead, *milliseconds]
            try:
                async with cancellable():
                    return int(await self._look_script(keys=_keys(slot.model), args=arguments))
            except (RedisError, OSError) as error:
                self._rest(error)
        room, now = self._rooms.setdefault(slot.model, Room()), time.monotonic()
        for held in self._held.values():  # what Redis gave us is taken, whether or not it can say so now
            if held.model == slot.model:
                room.renew(held.token, now)
        return room.look(slot.token, slots, max_ahead, self._handicap, now)

    def _leave(self, slot: Slot) -> None:
        if slot.model in self._rooms:
            self._rooms[slot.model].leave(slot.token)
        leaving = asyncio.create_task(self._leave_redis(slot))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _leave_redis(self, slot: Slot) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            pipeline = self._redis.pipeline(transaction=True)
            for key in _keys(slot.model):
                pipeline.zrem(key, slot.token)
            await pipeline.execute()
        except (RedisError, OSError) as error:
            self._rest(error)

    async def _renew(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(RENEW_SECONDS)
                for slot in list(self._held.values()):
                    if time.monotonic() >= self._rests_until:
                        await self._renew_one(slot)
        finally:
            self._renewing = None

    async def _renew_one(self, slot: Slot) -> None:
        try:
            await self._renew_script(keys=_keys(slot.model)[:1], args=[slot.token, round(1000 * LEASE_SECONDS)])
        except (RedisError, OSError) as error:
            self._rest(error)
        if slot.token not in self._held:  # released meanwhile, and maybe before we renewed it
            self._leave(slot)

    def _rest(self, error: Exception) -> None:
        if time.monotonic() >= self._rests_until:
            logger.warning("Redis is away: each process has a model's slots to itself: %s", error)
        self._rests_until = time.monotonic() + REST_SECONDS


def _keys(model: str) -> list[str]:
    return [f"ultra:slots:{model}{part}" for part in ("", ":line", ":seen")]
