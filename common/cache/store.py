"""The cache's side of Redis: answers, and who is asking for one just now.

`ultra:cache:KEY` is the answer. `ultra:cache:KEY:leader` is the token of the caller that asks the model
for it; it expires unless its holder renews it, so a leader that dies is followed by another. A leader
that comes back without an answer worth keeping leaves `-` there for a while: who waits for it then asks
for itself, rather than lead a queue in which each waits for the failure of the one before.
"""

import asyncio
import logging
import time
from enum import Enum, auto
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from common.cancelling import cancellable

# A look is a millisecond. Past this the cache costs more than it saves.
REDIS_SECONDS = 1.0
# After Redis failed to answer nobody asks it for so long, so that an outage delays few callers.
REST_SECONDS = 3.0
WARNING_EVERY_SECONDS = 60.0
# Several times the longest pause between two looks of one who waits: nobody misses it.
VAIN_SECONDS = 5.0

# One atomic look: an answer, a turn to wait, a turn to ask alone, or the lead. A look whose reply was lost is sent
# again by the client, and may hold the lead already.
LOOK = """
local answer = redis.call('GET', KEYS[1])
if answer then return answer end
local leader = redis.call('GET', KEYS[2])
if leader == '-' then return 2 end
if leader and leader ~= ARGV[1] then return 1 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 0
"""
RENEW = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
"""
KEEP = """
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
"""
LEAVE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[2])
"""
ADMIT_VAIN = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], '-', 'PX', ARGV[2])
return 1
"""

logger = logging.getLogger(__name__)


class Turn(Enum):
    """Whose turn it is to ask the model."""

    LEAD = auto()
    """Ours: others wait for what comes of it."""
    WAIT = auto()
    """Somebody else's."""
    ALONE = auto()
    """Everybody's own: the last leader came back with nothing to share, or Redis is away."""


class AnswerStore:
    """Every method answers within about a second and never raises for what Redis did or holds.

    `token` names one caller of one `answer`; only the holder of the lead can renew it or give it up.
    """

    def __init__(self, redis: Redis, *, ttl_seconds: float, lead_seconds: float) -> None:
        self._ttl = _milliseconds(ttl_seconds)
        self._lead = _milliseconds(lead_seconds)
        self._look = redis.register_script(LOOK)
        self._renew = redis.register_script(RENEW)
        self._keep = redis.register_script(KEEP)
        self._leave = redis.register_script(LEAVE)
        self._admit_vain = redis.register_script(ADMIT_VAIN)
        self._rests_until = 0.0
        self._warns_from = 0.0

    async def look(self, key: str, token: str) -> bytes | Turn:
        """The stored value, or whose turn it is; if that is `LEAD`, this token holds the lead now."""
        found = await self._run(self._look, key, token, self._lead)
        if isinstance(found, bytes):
            return found
        return {0: Turn.LEAD, 1: Turn.WAIT}.get(found, Turn.ALONE)

    async def renew(self, key: str, token: str) -> bool:
        """Hold the lead for as long again; False if we lost it, True also where Redis cannot say."""
        is_lost: bool = await self._run(self._renew, key, token, self._lead) == 0
        return not is_lost

    async def keep(self, key: str, token: str, value: bytes) -> None:
        """Store the value, and end the lead if we hold it."""
        await self._run(self._keep, key, token, value, self._ttl)

    async def leave(self, key: str, token: str) -> None:
        """End the lead if we hold it: whoever waits may lead."""
        await self._run(self._leave, key, token)

    async def admit_vain(self, key: str, token: str) -> None:
        """End the lead if we hold it: whoever waits had better ask alone."""
        await self._run(self._admit_vain, key, token, _milliseconds(VAIN_SECONDS))

    async def _run(self, script: Any, key: str, *arguments: str | bytes | int) -> Any:
        """What the script returns; None if Redis is away, and if it holds something that is not ours."""
        if time.monotonic() < self._rests_until:
            return None
        keys = (f"ultra:cache:{key}", f"ultra:cache:{key}:leader")
        found: Any = None
        try:
            async with asyncio.timeout(REDIS_SECONDS), cancellable():
                found = await script(keys=keys, args=arguments)
        except ResponseError as error:  # it is there and refuses: a value of another kind, no memory, a replica
            self._warn(error)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._rests_until = time.monotonic() + REST_SECONDS
            self._warn(error)
        return found

    def _warn(self, error: Exception) -> None:
        if time.monotonic() >= self._warns_from:
            self._warns_from = time.monotonic() + WARNING_EVERY_SECONDS
            logger.warning("working without the answer cache: %s", str(error) or type(error).__name__)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
