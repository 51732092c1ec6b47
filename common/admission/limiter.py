"""Admission by key: reserve before the call, settle after it.

The accounts lie in Redis, so that all processes go by one count. While Redis is away each process counts for
itself, by the same rules and from nothing: then a key has its limits once a process. A key without limits is
counted nowhere.
"""

import asyncio
import itertools
import logging
import os
import time
import weakref
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from redis.asyncio import Redis

from common.admission.headers import NO_HEADERS, headers_of
from common.admission.operations import (
    LEASE_MILLISECONDS,
    NONE,
    WINDOW_SECONDS,
    RefusedBy,
    Renew,
    Reserve,
    Settle,
    Verdict,
)
from common.admission.rules import Account
from common.admission.shared import Away, SharedAccounts
from common.admission.spending import Spending
from common.contracts.calls import MAX_TOKENS
from common.contracts.limits import NANOS, BudgetPeriod, Limits, period_at
from common.errors import InsufficientQuota, RateLimitExceeded

# Two of three renewals may fail.
RENEW_SECONDS = LEASE_MILLISECONDS / 1000 / 3
KNOCK_SECONDS = 1.0
# More than any request comes to, and few enough that the script's sums stay exact.
MAX_USD = 1_000_000.0
# Accounts of this process; past it those of keys that may be gone are dropped with all others.
MAX_ACCOUNTS = 10_000

logger = logging.getLogger(__name__)


class Reservation:
    """What one call holds: of a key without limits, nothing."""

    headers: Mapping[str, str] = NO_HEADERS

    def settle(self, *, tokens: int | None = None, cost_usd: float | None = None) -> None:
        """Say what the call came to, whatever became of it; returns at once, and only the first time counts.

        Where a figure is not known (None) the estimate stands. A call that was never made cost 0.
        """


class Held(Reservation):
    """What one call of a key with limits holds. It is renewed until it is settled, or nobody has it any more."""

    def __init__(self, limiter: "Limiter", asked: Reserve, verdict: Verdict, account: Account | None) -> None:
        self.headers = headers_of(asked, verdict)
        self.asked = asked
        # of this process; None where Redis has it
        self.account = account
        self._limiter = limiter
        self._slot = verdict.slot
        self._is_settled = False

    def settle(self, *, tokens: int | None = None, cost_usd: float | None = None) -> None:
        """See `Reservation.settle`."""
        if self._is_settled:
            return
        self._is_settled = True
        asked = self.asked
        surplus = 0 if tokens is None or asked.tokens_limit == NONE else tokens - asked.tokens
        cost = asked.cost if cost_usd is None else _nanos(cost_usd)
        if asked.budget == NONE:
            cost = 0
        if surplus or asked.has_lease:
            self._limiter.settle(self, Settle(asked.key, asked.lease, self._slot, surplus, cost, asked.period))


NOTHING_HELD = Reservation()


class Limiter:
    """One a process; belongs to one event loop. Give it `keep()` to run in the background."""

    def __init__(self, redis: "Redis", spending: Spending) -> None:
        self._shared = SharedAccounts(redis)
        self._spending = spending
        self._own: dict[str, Account] = {}
        self._held: weakref.WeakSet[Held] = weakref.WeakSet()
        self._numbers = itertools.count()
        self._process = os.urandom(8).hex()
        self.is_shared = True
        """Whether the counts are those of all processes, rather than of this one."""
        self.refusals: Counter[str] = Counter()
        """How many calls each limit kept out, so far."""

    async def reserve(self, key: str, limits: Limits, *, tokens: int, cost_usd: float | None) -> Reservation:
        """Admit a call that may come to so many tokens and dollars, `cost_usd` None where no price is known.

        Raises:
            RateLimitExceeded: too many requests, tokens or parallel calls; says when to come again.
            InsufficientQuota: the budget does not suffice.
        """
        if not limits.is_metered:
            return NOTHING_HELD
        now = datetime.now(UTC)
        period = period_at(limits.budget_period, now)
        spent = 0 if limits.budget_usd is None else await self._spending.known(key, period)
        lease = f"{self._process}-{next(self._numbers)}"
        asked = _asked(key, limits, lease, tokens, cost_usd, period, spent)
        verdict, account = await self._ask(asked)
        if verdict.refused_by != RefusedBy.NOTHING:
            self.refusals[RefusedBy(verdict.refused_by).name.lower()] += 1
            raise _refusal(asked, verdict, limits, period, now)
        reservation = Held(self, asked, verdict, account)
        if asked.has_lease:
            self._held.add(reservation)
        return reservation

    def settle(self, reservation: Held, ended: Settle) -> None:
        """End a reservation of ours, where it was made. What was made in Redis and cannot be ended there expires."""
        self._held.discard(reservation)
        if reservation.account is not None:
            reservation.account.settle(ended, _clock())
        elif self.is_shared:
            self._shared.put(ended)

    async def keep(self) -> None:
        """Hold what calls in flight hold, and find Redis again when it is back; for ever."""
        renewed_at = time.monotonic()
        while True:
            await asyncio.sleep(KNOCK_SECONDS)
            if not self.is_shared and await self._shared.knock():
                logger.warning("Redis is back: keys have their limits across all processes again")
                self.is_shared = True
                self._own.clear()
            if time.monotonic() - renewed_at >= RENEW_SECONDS:
                renewed_at = time.monotonic()
                self._renew()

    async def close(self) -> None:
        """Give back what can be given back."""
        await self._shared.drain()
        await self._spending.close()

    async def _ask(self, asked: Reserve) -> tuple[Verdict, Account | None]:
        if self.is_shared:
            try:
                return await self._shared.reserve(asked), None
            except Away:
                if self.is_shared:
                    logger.warning("Redis is away: each process holds keys to their limits by itself")
                self.is_shared = False
        account = self._account(asked.key)
        return account.reserve(asked, _clock()), account

    def _account(self, key: str) -> Account:
        if key not in self._own and len(self._own) >= MAX_ACCOUNTS:
            self._own.clear()
        return self._own.setdefault(key, Account())

    def _renew(self) -> None:
        for held in list(self._held):
            going = Renew(held.asked.key, held.asked.lease, held.asked.cost)
            if held.account is not None:
                held.account.renew(going, _clock())
            elif self.is_shared:
                self._shared.put(going)


def _asked(
    key: str, limits: Limits, lease: str, tokens: int, cost_usd: float | None, period: BudgetPeriod, spent: int
) -> Reserve:
    def given(limit: int | None) -> int:
        return NONE if limit is None else limit

    return Reserve(
        key=key,
        lease=lease,
        tokens=min(max(tokens, 0), MAX_TOKENS),
        # What has no known price is not free: a spent budget keeps it out.
        cost=1 if cost_usd is None else _nanos(cost_usd),
        period=period.name,
        spent=spent,
        requests_limit=given(limits.requests_per_minute),
        tokens_limit=given(limits.tokens_per_minute),
        parallel_limit=given(limits.parallel_calls),
        budget=NONE if limits.budget_usd is None else _nanos(limits.budget_usd),
    )


def _refusal(
    asked: Reserve, verdict: Verdict, limits: Limits, period: BudgetPeriod, now: datetime
) -> RateLimitExceeded:
    """The error that names the limit and says when to come again."""
    headers = headers_of(asked, verdict)
    if verdict.refused_by == RefusedBy.BUDGET:
        return InsufficientQuota(
            f"This API key's budget of ${limits.budget_usd:g} a {limits.budget_period} does not suffice for this "
            f"request; the next one begins {period.end:%Y-%m-%d} UTC.",
            retry_after_seconds=(period.end - now).total_seconds(),
            headers=headers,
        )
    if verdict.refused_by == RefusedBy.PARALLEL:
        return RateLimitExceeded(
            f"{limits.parallel_calls} calls of this API key are at work, which is its limit: wait for one to end.",
            headers=headers,
        )
    if verdict.refused_by == RefusedBy.REQUESTS:
        said = f"{limits.requests_per_minute} requests a minute are this API key's limit."
    elif asked.tokens > asked.tokens_limit:
        said = (
            f"This request may come to {asked.tokens} tokens, and {asked.tokens_limit} a minute are this API key's "
            "limit: send less, or ask for fewer with max_tokens."
        )
    else:
        said = (
            f"{asked.tokens_limit} tokens a minute are this API key's limit: {verdict.tokens_left} are left, "
            f"and this request may come to {asked.tokens}."
        )
    wait = min(verdict.wait / 1000, WINDOW_SECONDS + 1.0)
    return RateLimitExceeded(said, retry_after_seconds=wait, headers=headers)


def _nanos(dollars: float) -> int:
    return round(min(max(dollars, 0.0), MAX_USD) * NANOS)


def _clock() -> int:
    """Milliseconds that no one sets back."""
    return time.monotonic_ns() // 1_000_000
