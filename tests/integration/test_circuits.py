"""Circuits over a real Valkey, seen by two processes' worth of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.circuits import Circuits
from common.contracts.calls import Call, Parameters
from common.ending import end
from common.errors import Timeout
from common.providers.registry import Providers
from common.settings import Settings
from common.upstreams import Upstreams

KEY = "openai/gpt-4o"
PATIENCE_SECONDS = 10


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def circuits(redis: "Redis", open_seconds: float = 0.3) -> Circuits:
    return Circuits(redis, failures=3, open_seconds=open_seconds)


async def broken(circuits: Circuits, times: int = 3) -> Circuits:
    for _ in range(times):
        await circuits.failed(KEY)
    return circuits


async def until_probed(circuits: Circuits) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (seconds := await circuits.blocked_seconds(KEY)) > 0:  # noqa: ASYNC110  # it says for how long
            await asyncio.sleep(seconds)


async def test_failures_in_a_row_open_a_circuit_for_every_process(redis: "Redis") -> None:
    here, there = circuits(redis, 30), circuits(redis, 30)
    await broken(here, 2)
    assert await here.blocked_seconds(KEY) == 0
    await there.failed(KEY)
    await here.refresh()
    assert await here.blocked_seconds(KEY) > 20
    assert await there.blocked_seconds(KEY) > 20
    assert here.open_keys() == [KEY]
    assert await here.blocked_seconds("openai/another") == 0


async def test_a_success_in_between_starts_the_count_anew(redis: "Redis") -> None:
    one = circuits(redis)
    await broken(one, 2)
    one.succeeded(KEY)
    await one.drain()
    await broken(one, 2)
    assert await one.blocked_seconds(KEY) == 0


async def test_when_its_time_is_up_one_call_alone_probes_it(redis: "Redis") -> None:
    several = [circuits(redis) for _ in range(4)]
    await broken(several[0])
    for one in several[1:]:
        await one.refresh()
    await until_probed(several[0])
    others = await asyncio.gather(*(one.blocked_seconds(KEY) for one in several[1:]))
    assert all(seconds > 0 for seconds in others)


async def test_a_probe_that_succeeds_closes_the_circuit_for_all(redis: "Redis") -> None:
    here, there = circuits(redis), circuits(redis)
    await broken(here)
    await until_probed(here)
    here.succeeded(KEY)
    await here.drain()
    await there.refresh()
    assert await there.blocked_seconds(KEY) == 0
    assert await redis.hlen("ultra:circuits") == 0


async def test_a_probe_that_nobody_waited_for_is_somebody_else_s_to_make(redis: "Redis") -> None:
    here, there = circuits(redis), circuits(redis)
    await broken(here)
    await there.refresh()
    await until_probed(here)
    assert await there.blocked_seconds(KEY) > 0
    here.unheard(KEY)
    await here.drain()
    assert await there.blocked_seconds(KEY) == 0
    assert await here.blocked_seconds(KEY) > 0
    assert here.open_keys() == [KEY]


async def test_who_learned_nothing_changes_nothing(redis: "Redis") -> None:
    one = circuits(redis, 30)
    await broken(one, 2)
    one.unheard(KEY)
    one.unheard("openai/another")
    await one.failed(KEY)
    one.unheard(KEY)
    await one.drain()
    assert await one.blocked_seconds(KEY) > 20


async def test_a_probe_that_fails_opens_it_for_twice_as_long(redis: "Redis") -> None:
    one = circuits(redis, open_seconds=2)
    await broken(one)
    await until_probed(one)
    await one.failed(KEY)
    assert 2 < await one.blocked_seconds(KEY) <= 4


async def test_stragglers_do_not_keep_an_open_circuit_open(redis: "Redis") -> None:
    one = circuits(redis, open_seconds=5)
    await broken(one)
    before = await one.blocked_seconds(KEY)
    await broken(one, 10)
    assert await one.blocked_seconds(KEY) <= before


async def test_a_healthy_model_costs_no_round_trip_and_an_absent_redis_no_call() -> None:
    away = Redis.from_url("redis://127.0.0.1:1/0")
    one = circuits(away)
    assert await one.blocked_seconds(KEY) == 0
    await one.failed(KEY)
    one.succeeded(KEY)
    await one.refresh()
    await one.drain()
    assert await one.blocked_seconds(KEY) == 0
    await away.aclose()


async def test_a_deadline_of_the_caller_s_own_leaves_the_probe_to_others(redis: "Redis") -> None:
    here, there = circuits(redis), circuits(redis)
    entry = ModelEntry(id="openai-gpt4o", provider="openai", name="gpt-4o", local=False)
    settings, catalog = Settings(), Catalog({entry.id: entry}, {})
    upstreams = Upstreams(settings, lambda: catalog, Providers(settings, lambda: catalog), here)
    hurried = Call(model=entry.id, messages=(), parameters=Parameters(timeout_seconds=0.1))
    await broken(here)
    await there.refresh()
    await until_probed(here)
    assert await there.blocked_seconds(KEY) > 0
    await upstreams.failed(entry, hurried, Timeout("It took longer than 0.1 s."))
    await here.drain()
    assert await there.blocked_seconds(KEY) == 0
    await upstreams.connectivity.close()


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_cancelled_at_any_point_of_its_telling_goes_no_further(redis_url: str, turns: int) -> None:
    async def fail_and_go_on(one: Circuits) -> None:
        await one.failed(KEY)
        await asyncio.sleep(3600)

    async with Redis.from_url(redis_url, socket_timeout=PATIENCE_SECONDS) as redis:
        failing = asyncio.create_task(fail_and_go_on(circuits(redis)))
        for _ in range(turns):  # of the loop: some of them lie between the command and its reply
            await asyncio.sleep(0)
        failing.cancel()
        done, _ = await asyncio.wait([failing], timeout=PATIENCE_SECONDS)
        await end([failing])
    assert done, "its cancellation was lost"
