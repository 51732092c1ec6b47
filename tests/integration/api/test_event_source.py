import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api.events.source import RedisSource
from common.errors import DependencyDown
from common.events import stream_key

# Only a failure waits for so long.
PATIENCE_SECONDS = 30


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
async def redis(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator["Redis"]:
    client: Redis = Redis.from_url(redis_url, protocol=request.param, socket_timeout=2 * PATIENCE_SECONDS)
    yield client
    await client.aclose()


@pytest.fixture
def source(redis: "Redis", monkeypatch: pytest.MonkeyPatch) -> RedisSource:
    """One whose reads do not end by themselves."""
    monkeypatch.setattr("api.events.source.BLOCK_MILLISECONDS", 2000 * PATIENCE_SECONDS)
    return RedisSource(redis, redis)


async def add(redis: "Redis", job_id: str, number: int, fields: dict[str, str] | None = None) -> None:
    await redis.xadd(stream_key(job_id), fields or {"e": "call.delta", "d": f'{{"n":{number}}}'}, id=f"{number}-0")


async def test_events_of_many_jobs_come_in_one_read(redis: "Redis", source: RedisSource) -> None:
    await add(redis, "one", 1)
    await add(redis, "one", 2)
    await add(redis, "other", 3)
    found = await source.read({"one": "1-0", "other": "0-0", "silent": "0-0"})
    assert {job: [event.id for event in events] for job, events in found.items()} == {"one": ["2-0"], "other": ["3-0"]}
    assert found["one"][0].data == b'{"n":2}'


async def test_a_read_waits_for_the_next_event(redis: "Redis", source: RedisSource) -> None:
    reading = asyncio.create_task(source.read({"one": "0-0"}))
    await asyncio.sleep(0.05)
    await add(redis, "one", 1)
    assert [event.id for event in (await asyncio.wait_for(reading, PATIENCE_SECONDS))["one"]] == ["1-0"]


async def test_a_wake_up_ends_the_read_that_runs_and_the_one_that_has_not_begun(source: RedisSource) -> None:
    reading = asyncio.create_task(source.read({"one": "0-0"}))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await source.wake()
        assert await reading == {}
        await source.wake()
        assert await source.read({"one": "0-0"}) == {}


async def test_what_is_no_event_is_passed_over(redis: "Redis", source: RedisSource) -> None:
    await add(redis, "one", 1, {"something": "else"})
    await add(redis, "one", 2)
    assert [event.id for event in (await source.read({"one": "0-0"}))["one"]] == ["2-0"]


async def test_whether_there_is_a_stream(redis: "Redis", source: RedisSource) -> None:
    await add(redis, "one", 1)
    assert await source.exists("one")
    assert not await source.exists("other")


async def test_a_redis_that_is_away_is_said_to_be(closed_port: int) -> None:
    away: Redis = Redis.from_url(f"redis://127.0.0.1:{closed_port}/0", socket_connect_timeout=1)
    source = RedisSource(away, away)
    with pytest.raises(DependencyDown):
        await source.read({"one": "0-0"})
    with pytest.raises(DependencyDown):
        await source.exists("one")
    await source.wake()
    await away.aclose()
