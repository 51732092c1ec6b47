"""A model's slots over a real Valkey: shared by processes, given back by the dead, kept up without Valkey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from common.admission.slots import MAX_AHEAD_PER_SLOT, Slot, Slots
from common.catalog.entry import ModelEntry
from common.errors import RateLimited
from tests.integration.admission_clients import PATIENCE_SECONDS, closed, patient_redis

KEY = "ultra:slots:mock/small"


def entry(slots: int) -> ModelEntry:
    return ModelEntry.model_validate({"id": "mock-small", "slots": slots})


@asynccontextmanager
async def slots_of(redis_url: str, *, is_patient: bool = False) -> AsyncIterator[Slots]:
    """Slots as a process has them."""
    redis = patient_redis(redis_url)
    slots = Slots(redis, is_patient=is_patient)
    try:
        yield slots
    finally:
        await slots.close()
        await redis.aclose()


async def most_at_once(processes: list[Slots], model: ModelEntry, calls: int) -> int:
    """Have so many calls made; returns how many were at work at once."""
    at_work = most = 0

    async def call(slots: Slots) -> None:
        nonlocal at_work, most
        async with slots.hold(model):
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.01)
            at_work -= 1

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(call(processes[number % len(processes)]) for number in range(calls)))
    return most


async def waiting(redis: "Redis", count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await redis.zcard(f"{KEY}:line") != count:  # noqa: ASYNC110  # Redis sets no event of ours
            await asyncio.sleep(0.01)


async def test_both_planes_together_take_no_more_than_a_models_slots(redis_url: str) -> None:
    async with slots_of(redis_url) as gateway, slots_of(redis_url, is_patient=True) as jobs:
        assert await most_at_once([gateway, jobs], entry(3), 24) == 3


async def test_a_chat_goes_before_the_jobs_that_came_just_before_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.admission.slots.JOB_HANDICAP_SECONDS", 600.0)  # just before, on the slowest machine
    model, order = entry(1), list[str]()

    async def call(slots: Slots, name: str) -> None:
        async with slots.hold(model):
            order.append(name)

    async with (
        slots_of(redis_url) as gateway,
        slots_of(redis_url, is_patient=True) as jobs,
        Redis.from_url(redis_url) as redis,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        first = await jobs.take(model)
        async with asyncio.TaskGroup() as calls:
            calls.create_task(call(jobs, "job"))
            await waiting(redis, 1)
            calls.create_task(call(gateway, "chat"))
            await waiting(redis, 2)
            first.release()
    assert order == ["chat", "job"]


async def test_a_chat_is_turned_away_from_a_line_that_is_too_long_or_takes_too_long(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.admission.slots.SEEN_SECONDS", 600.0)  # no machine is so slow that the line seems dead
    model = entry(1)
    async with slots_of(redis_url) as slots, Redis.from_url(redis_url) as redis, asyncio.timeout(PATIENCE_SECONDS):
        held = await slots.take(model)
        line = [asyncio.create_task(slots.take(model)) for _ in range(MAX_AHEAD_PER_SLOT)]
        await waiting(redis, MAX_AHEAD_PER_SLOT)
        with pytest.raises(RateLimited, match="8 requests wait for mock-small") as refused:
            await slots.take(model)
        assert refused.value.retry_after_seconds == 1
        for one in line:
            one.cancel()
        await asyncio.gather(*line, return_exceptions=True)
        await waiting(redis, 0)
        with pytest.raises(RateLimited, match=r"within 0\.05 s"):
            await slots.take(model, patience_seconds=0.05)
        await waiting(redis, 0)
        held.release()
        (await slots.take(model)).release()


async def test_who_gives_up_in_the_line_holds_nobody_up(redis_url: str) -> None:
    model = entry(1)
    async with slots_of(redis_url) as slots, Redis.from_url(redis_url) as redis:
        held = await slots.take(model)
        gone = asyncio.create_task(slots.take(model))
        await waiting(redis, 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        held.release()
        async with asyncio.timeout(PATIENCE_SECONDS), slots.hold(model):
            pass


async def test_the_slots_of_a_dead_process_are_free_when_its_leases_are_over(redis_url: str) -> None:
    model = entry(2)
    async with slots_of(redis_url) as slots, Redis.from_url(redis_url) as redis:
        seconds, _ = await redis.time()
        now = seconds * 1000
        await redis.zadd(KEY, {"dead-0": now - 1, "dead-1": now + 700})
        await redis.zadd(f"{KEY}:line", {"dead-2": now - 60_000})
        await redis.zadd(f"{KEY}:seen", {"dead-2": now - 60_000})
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(2):
                await slots.take(model)
        assert await redis.ttl(KEY) > 0


async def test_a_slot_that_is_held_for_long_stays_held(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.admission.slots.RENEW_SECONDS", 0.01)
    async with slots_of(redis_url) as slots, Redis.from_url(redis_url) as redis:
        held: Slot = await slots.take(entry(1))
        await redis.delete(KEY)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await redis.zcard(KEY):  # noqa: ASYNC110  # Redis sets no event of ours
                await asyncio.sleep(0.01)
        held.release()
        await slots.close()
        assert await redis.zcard(KEY) == 0


async def test_without_redis_each_process_has_the_slots_to_itself(unused_tcp_port: int) -> None:
    url = f"redis://127.0.0.1:{unused_tcp_port}/0"
    async with slots_of(url) as here, slots_of(url) as there:
        assert await most_at_once([here], entry(2), 10) == 2
        assert await most_at_once([here, there], entry(2), 20) == 4


async def test_what_redis_gave_stays_taken_when_it_goes_away(redis_url: str) -> None:
    model = entry(1)
    async with slots_of(redis_url) as slots:
        held = await slots.take(model)
        async with closed(redis_url):
            with pytest.raises(RateLimited):
                await slots.take(model, patience_seconds=0.05)
            held.release()
        async with asyncio.timeout(PATIENCE_SECONDS), slots.hold(model):
            pass
