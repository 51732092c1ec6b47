"""Limits over a real Valkey: several processes, processes that are killed, and a Valkey that goes away."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cli.embedded.stack import Stack
from common.admission import operations
from common.admission.limiter import Limiter, Reservation
from common.admission.script import PREFIX
from common.admission.spending import Spending
from common.contracts.limits import Limits
from common.ending import end
from common.errors import InsufficientQuota, RateLimitExceeded
from tests.integration.admission_clients import PATIENCE_SECONDS, closed, patient_redis

HOLDER = """
import asyncio, sys
from tests.integration.test_admission import limiter_of, reserve
from common.contracts.limits import Limits

async def hold(url, calls):
    async with limiter_of(url) as limiter:
        held = [await reserve(limiter, Limits(requests_per_minute=10, parallel_calls=10)) for _ in range(calls)]
        print("holding", len(held), flush=True)
        await asyncio.sleep(3600)

asyncio.run(hold(sys.argv[1], int(sys.argv[2])))
"""


@asynccontextmanager
async def limiter_of(
    redis_url: str, *, spent_usd: float = 0, redis_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[Limiter]:
    """A limiter as a process has it, with its background at work."""

    async def ask(owner: str, since: datetime) -> float:
        return spent_usd

    redis = patient_redis(redis_url, redis_seconds)
    limiter = Limiter(redis, Spending(ask))
    keeping = asyncio.create_task(limiter.keep())
    try:
        yield limiter
    finally:
        await end([keeping])
        await limiter.close()
        await redis.aclose()


async def reserve(limiter: Limiter, limits: Limits, *, tokens: int = 10, cost_usd: float | None = 0) -> Reservation:
    return await limiter.reserve("key", limits, tokens=tokens, cost_usd=cost_usd)


async def admitted(limiter: Limiter, limits: Limits, tries: int) -> int:
    """How many of so many calls at once are let in, and forgotten."""
    outcomes = await asyncio.gather(*(reserve(limiter, limits) for _ in range(tries)), return_exceptions=True)
    assert all(isinstance(one, Reservation | RateLimitExceeded) for one in outcomes)
    return sum(isinstance(one, Reservation) for one in outcomes)


@pytest.fixture
def holder(redis_url: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds seven calls of the key, and would for an hour."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, redis_url, "7"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding 7\n"
        yield process
        process.kill()


async def test_two_processes_share_one_limit(redis_url: str, holder: "subprocess.Popen[str]") -> None:
    async with limiter_of(redis_url) as limiter:
        assert await admitted(limiter, Limits(requests_per_minute=10), 20) == 3
        assert limiter.refusals == {"requests": 17}


async def test_what_a_killed_process_held_is_free_when_its_leases_are_over(
    redis_url: str, holder: "subprocess.Popen[str]"
) -> None:
    limits = Limits(parallel_calls=8)
    async with limiter_of(redis_url) as limiter, Redis.from_url(redis_url) as redis:
        assert await admitted(limiter, limits, 3) == 1
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        leases = f"{PREFIX}key:leases"
        expiries = [expiry for _, expiry in await redis.zrange(leases, 0, -1, withscores=True)]
        seconds, _ = await redis.time()
        assert max(expiries) <= seconds * 1000 + 1000 + operations.LEASE_MILLISECONDS
        # As if half a minute had passed: waiting for it would show nothing more.
        for lease in await redis.zrange(leases, 0, -1):
            await redis.zadd(leases, {lease: seconds * 1000 - 1})
        assert await admitted(limiter, limits, 9) == 8


async def test_a_call_in_flight_is_held_beyond_its_first_lease(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.admission.limiter.RENEW_SECONDS", 0.0)
    monkeypatch.setattr("common.admission.limiter.KNOCK_SECONDS", 0.01)
    limits = Limits(parallel_calls=1)
    async with limiter_of(redis_url) as limiter, Redis.from_url(redis_url) as redis:
        call = await reserve(limiter, limits)
        await redis.delete(f"{PREFIX}key:leases", f"{PREFIX}key:held")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await redis.zcard(f"{PREFIX}key:leases"):  # noqa: ASYNC110  # Redis sets no event of ours
                await asyncio.sleep(0.01)
        assert await admitted(limiter, limits, 1) == 0
        call.settle()
        assert await admitted(limiter, limits, 1) == 1


async def test_a_call_whose_caller_leaves_while_it_is_let_in_holds_nothing(redis_url: str) -> None:
    limits = Limits(parallel_calls=1)
    async with limiter_of(redis_url) as limiter:
        for turns in range(4):  # before it is asked, while Redis is, and maybe after
            leaving = asyncio.create_task(reserve(limiter, limits))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        assert await admitted(limiter, limits, 1) == 1


async def test_a_call_that_is_over_gives_back_what_it_did_not_use(redis_url: str) -> None:
    limits = Limits(tokens_per_minute=100, parallel_calls=1)
    async with limiter_of(redis_url) as limiter:
        call = await reserve(limiter, limits, tokens=90)
        call.settle(tokens=20)
        call.settle(tokens=0)  # what is said twice counts once
        call = await reserve(limiter, limits, tokens=80)
        assert call.headers["x-ratelimit-remaining-tokens"] == "0"
        with pytest.raises(RateLimitExceeded) as refused:
            await reserve(limiter, limits, tokens=1)
        call.settle(tokens=80)
    assert refused.value.headers["x-ratelimit-limit-tokens"] == "100"
    # A minute after what was first admitted, however long ago that is by now.
    assert 30 < (refused.value.retry_after_seconds or 0) <= 61


async def test_a_budget_is_reserved_by_estimate_and_settled_by_cost(redis_url: str) -> None:
    limits = Limits(budget_usd=1.0)
    async with limiter_of(redis_url, spent_usd=0.25) as limiter:
        first = await reserve(limiter, limits, cost_usd=0.7)
        with pytest.raises(InsufficientQuota, match=r"budget of \$1 a month") as refused:
            await reserve(limiter, limits, cost_usd=0.1)
        first.settle(tokens=1, cost_usd=0.1)
        second = await reserve(limiter, limits, cost_usd=0.6)
        second.settle(tokens=1, cost_usd=0.66)
        for unpriced_or_dear in (None, 0.01):
            with pytest.raises(InsufficientQuota):
                await reserve(limiter, limits, cost_usd=unpriced_or_dear)
        (await reserve(limiter, limits, cost_usd=0.0)).settle()
    assert refused.value.headers == {"x-should-retry": "false"}


async def test_what_postgres_knows_to_be_spent_outlives_redis(redis_url: str) -> None:
    limits = Limits(budget_usd=1.0, budget_period="day")
    async with limiter_of(redis_url, spent_usd=1.0) as limiter, Redis.from_url(redis_url) as redis:
        for _ in range(2):
            with pytest.raises(InsufficientQuota):
                await reserve(limiter, limits, cost_usd=0.01)
            await redis.flushall()


async def test_a_key_without_limits_asks_redis_nothing(redis_url: str) -> None:
    async with limiter_of(redis_url) as limiter, Redis.from_url(redis_url) as redis:
        before = (await redis.info("stats"))["total_connections_received"]
        for limits in (Limits(), Limits(models=frozenset({"mock-a"}))):
            call = await reserve(limiter, limits)
            call.settle(tokens=5)
            assert call.headers == {}
        assert (await redis.info("stats"))["total_connections_received"] == before


async def test_while_redis_is_away_each_process_limits_by_itself_and_then_all_together_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.admission.limiter.KNOCK_SECONDS", 0.01)
    limits = Limits(requests_per_minute=3, parallel_calls=3)
    async with limiter_of(redis_url) as limiter, limiter_of(redis_url) as other:
        before = await reserve(limiter, limits)
        async with closed(redis_url):
            assert await admitted(limiter, limits, 10) == 3
            assert await admitted(other, limits, 10) == 3
            assert (limiter.is_shared, other.is_shared) == (False, False)
            before.settle()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (limiter.is_shared and other.is_shared):  # noqa: ASYNC110  # as a scrape would look
                await asyncio.sleep(0.01)
        # One was counted before, and is held: its end was not told.
        assert await admitted(limiter, limits, 10) + await admitted(other, limits, 10) == 2


async def test_a_redis_that_says_nothing_is_given_up(redis_url: str) -> None:
    async with limiter_of(redis_url, redis_seconds=0.1) as limiter, Redis.from_url(redis_url) as redis:
        await redis.execute_command("CLIENT", "PAUSE", "600000", "WRITE")  # scripts among them
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await admitted(limiter, Limits(requests_per_minute=3), 10) == 3
            assert not limiter.is_shared
        finally:
            await redis.execute_command("CLIENT", "UNPAUSE")


async def test_a_redis_that_is_killed_costs_no_request_and_is_found_again(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=1000, tokens_per_minute=100_000, parallel_calls=1000, budget_usd=5)
    with Stack(tmp_path, only=("valkey",)) as stack:
        url = stack.settings["REDIS_URL"]
        async with limiter_of(url) as limiter:
            (await reserve(limiter, limits)).settle(tokens=3, cost_usd=0.01)
            async with Redis.from_url(url) as redis:
                killed = (await redis.info("server"))["process_id"]
            os.kill(stack.pid, signal.SIGSTOP)  # nobody starts it again before we have looked
            os.kill(killed, signal.SIGKILL)
            for _ in range(20):
                (await reserve(limiter, limits, cost_usd=0.01)).settle(tokens=3, cost_usd=0.01)
            assert not limiter.is_shared
            os.kill(stack.pid, signal.SIGCONT)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not limiter.is_shared:  # noqa: ASYNC110  # as a scrape would look
                    await asyncio.sleep(0.05)
            (await reserve(limiter, limits)).settle(tokens=3, cost_usd=0.01)
            assert limiter.is_shared
            assert limiter.refusals == {}


async def test_a_redis_that_is_not_there_delays_nobody_and_fails_nobody(unused_tcp_port: int) -> None:
    async with limiter_of(f"redis://127.0.0.1:{unused_tcp_port}/0") as limiter, asyncio.timeout(PATIENCE_SECONDS):
        limits = Limits(requests_per_minute=2, tokens_per_minute=50, parallel_calls=2, budget_usd=1)
        call = await reserve(limiter, limits, tokens=40, cost_usd=1)
        call.settle(tokens=10, cost_usd=0.2)
        assert not limiter.is_shared
        assert await admitted(limiter, limits, 5) == 1
