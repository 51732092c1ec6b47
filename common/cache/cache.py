"""One answer for equal requests: recorded ones are given again, those in progress are waited for."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from common.cache.answers import CachedAnswer, decoded, encoded
from common.cache.store import AnswerStore, Turn
from common.ending import end

# How long a leader that died is waited for; a living one renews its lead four times as often.
LEAD_SECONDS = 10.0
RENEWALS_A_LEAD = 4
# Between two looks of one who waits: fast models are hardly delayed, slow ones hardly cost looks.
FIRST_PAUSE_SECONDS = 0.02
MAX_PAUSE_SECONDS = 0.5


class AnswerCache:
    """Recorded answers in Redis, shared by all processes; belongs to one event loop.

    With Redis away, slow or full of nonsense it behaves as if there were no cache.
    """

    def __init__(self, redis: Redis, *, ttl_seconds: float, lead_seconds: float = LEAD_SECONDS) -> None:
        """`redis` must return bytes (`decode_responses=False`)."""
        self._store = AnswerStore(redis, ttl_seconds=ttl_seconds, lead_seconds=lead_seconds)
        self._renew_every_seconds = lead_seconds / RENEWALS_A_LEAD

    async def answer(
        self, key: str, ask: Callable[[], Awaitable[CachedAnswer]], patience_seconds: float
    ) -> tuple[CachedAnswer, bool]:
        """A recorded answer and True, or what `ask()` returned and False.

        Of equal calls in progress one asks and the others wait for its answer, `patience_seconds` at
        most; if it comes back with nothing to record, each asks for itself. `ask` is called at most
        once, and what it raises is raised here. Whole answers are recorded, others never.
        """
        token = secrets.token_hex(8)
        try:
            found = await self._wait(key, token, patience_seconds)
            if isinstance(found, CachedAnswer):
                return found, True
            if found is Turn.LEAD:
                return await self._lead(key, token, ask), False
            answer = await ask()
            await self._record(key, token, answer)
        except asyncio.CancelledError:
            # The lead may be ours without our knowing: the look that won it may be what was cancelled.
            await self._store.leave(key, token)
            raise
        return answer, False

    async def _wait(self, key: str, token: str, patience_seconds: float) -> CachedAnswer | Turn:
        """The recorded answer, else `LEAD` or `ALONE`."""
        patient_until = time.monotonic() + patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            found = await self._store.look(key, token)
            if isinstance(found, bytes):
                # What cannot be read is asked for afresh, and overwritten.
                return decoded(found) or Turn.ALONE
            if found is not Turn.WAIT:
                return found
            left = patient_until - time.monotonic()
            if left <= 0:
                return Turn.ALONE
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, MAX_PAUSE_SECONDS)

    async def _lead(self, key: str, token: str, ask: Callable[[], Awaitable[CachedAnswer]]) -> CachedAnswer:
        renewing = asyncio.create_task(self._keep_lead(key, token))
        try:
            answer = await ask()
            is_recorded = await self._record(key, token, answer)
        except Exception:
            await self._store.admit_vain(key, token)
            raise
        finally:
            await end([renewing])
        if not is_recorded:
            await self._store.admit_vain(key, token)
        return answer

    async def _keep_lead(self, key: str, token: str) -> None:
        is_ours = True
        while is_ours:
            await asyncio.sleep(self._renew_every_seconds)
            is_ours = await self._store.renew(key, token)

    async def _record(self, key: str, token: str, answer: CachedAnswer) -> bool:
        """Whether the answer was worth recording."""
        value = encoded(answer)
        if value is not None:
            await self._store.keep(key, token, value)
        return value is not None
