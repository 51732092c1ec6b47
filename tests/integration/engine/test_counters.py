"""What workers count, by the real statements and by real workers that are really killed."""

import signal
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from common.contracts.calls import Answer
from common.counters import COUNTERS_KEY, SWEPT_KEY, SWEPT_LIFE_SECONDS, Count
from common.database import jobs
from common.events import EventName
from common.ids import uuid7
from tests.integration.engine.gated import GATED, Gated
from tests.integration.engine.stack import SHORT_LEASE, Desk, Workers, are_all_running
from worker.counters import Report, Tally
from worker.recovery import Sweep
from worker.store import Ending, Store

MINUTE = timedelta(minutes=1)
EXPIRED = timedelta(seconds=-1)


class NobodyWatches:
    """Events that nobody reads."""

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None: ...


@pytest.fixture
def tally() -> Tally:
    return Tally()


async def begun(desk: Desk, size: int = 1) -> tuple[UUID, list[UUID]]:
    """A job whose first round waits for a worker."""
    job_id = await desk.submit(*["mock-a"] * size, ring=False)
    asked = [
        {
            "id": str(uuid7()), "job_id": str(job_id), "round": 0, "position": position, "model": "mock-a",
            "queue": "cloud", "fingerprint": "f",
            "request": {"model": "mock-a", "messages": [{"role": "user", "content": "?"}]},
        }
        for position in range(size)
    ]  # fmt: skip
    assert await desk.execute(jobs.begin_rounds(asked, MINUTE))
    return job_id, [UUID(str(call["id"])) for call in asked]


def store(desk: Desk, tally: Tally, lease: timedelta = MINUTE) -> Store:
    return Store(desk.engine, worker="w", lease=lease, grace=MINUTE, tally=tally)


def sweep(desk: Desk, tally: Tally, max_attempts: int = 2) -> Sweep:
    return Sweep(
        desk.engine,
        NobodyWatches(),
        lambda _: None,
        grace=MINUTE,
        max_attempts=max_attempts,
        interval_seconds=1,
        tally=tally,
    )


def yes(call_id: UUID, attempt: int) -> Ending:
    return Ending(call_id, attempt, "completed", Answer(model="mock-a", status="completed", text="Yes."))


async def test_a_call_that_is_delivered_twice_is_one_claim_and_one_duplicate(desk: Desk, tally: Tally) -> None:
    _, [call_id] = await begun(desk)
    worker = store(desk, tally)
    assert await worker.claim(call_id)
    assert not await worker.claim(call_id)
    assert +tally == {Count.CLAIMS: 1, Count.DUPLICATE_CLAIMS: 1}


async def test_a_result_with_an_old_token_is_counted_as_refused(desk: Desk, tally: Tally) -> None:
    _, [call_id] = await begun(desk)
    assert await store(desk, tally, EXPIRED).claim(call_id)
    current = await store(desk, tally).claim(call_id)
    assert current
    worker = store(desk, tally)
    assert await worker.finish_call(yes(call_id, 1)) is None
    assert tally[Count.STALE_RESULTS] == 1
    assert await worker.finish_call(yes(call_id, current.attempt)) == 0
    assert tally[Count.STALE_RESULTS] == 1


async def test_a_sweep_counts_what_it_rescues_and_then_what_it_gives_up(desk: Desk, tally: Tally) -> None:
    _, ids = await begun(desk, 2)
    for _ in range(2):
        for call_id in ids:
            assert await store(desk, Tally(), EXPIRED).claim(call_id)
        await sweep(desk, tally).once()
    assert tally[Count.LEASE_EXPIRIES] == 4
    assert tally[Count.RESCUES] == 2
    assert tally[Count.DEAD_LETTERS] == 2
    assert tally[Count.SWEEPS] == 2


async def test_a_sweep_counts_rings_apart_from_turns(desk: Desk, tally: Tally) -> None:
    await desk.submit("mock-a", ring=False)
    _, late_calls = await begun(desk, 3)
    complete, [call_id] = await begun(desk)
    claim = await store(desk, Tally()).claim(call_id)
    assert claim
    await store(desk, Tally()).finish_call(yes(call_id, claim.attempt))
    await desk.sql("UPDATE calls SET due_at = now() WHERE id = ANY(:ids)", ids=late_calls)
    await desk.sql("UPDATE jobs SET due_at = now() WHERE id = :id", id=complete)
    await sweep(desk, tally).once()
    assert (tally[Count.SWEEP_TURNS], tally[Count.SWEEP_CALL_RINGS], tally[Count.SWEEP_JOB_RINGS]) == (1, 3, 1)


async def test_reports_of_many_workers_add_up(redis_url: str) -> None:
    redis: Redis = Redis.from_url(redis_url)
    tallies = [Tally({Count.RESCUES: 2}), Tally({Count.RESCUES: 3, Count.SWEEPS: 1})]
    reports = [Report(redis, tally) for tally in tallies]
    for report in reports * 2:  # the second time there is nothing to add
        await report.send()
    assert int(await redis.hget(COUNTERS_KEY, Count.RESCUES) or 0) == 5  # type: ignore[misc]  # typed for both clients
    assert SWEPT_LIFE_SECONDS - 5 < await redis.ttl(SWEPT_KEY) <= SWEPT_LIFE_SECONDS
    assert tallies == [Tally(), Tally()]
    await redis.aclose()


async def test_what_redis_did_not_take_is_kept_and_counting_goes_on(redis_url: str) -> None:
    away: Redis = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=1)
    here: Redis = Redis.from_url(redis_url)
    tally = Tally({Count.CLAIMS: 2})
    await Report(away, tally).send()
    tally[Count.CLAIMS] += 1
    await Report(here, tally).send()
    assert await here.hgetall(COUNTERS_KEY) == {b"call_claims": b"3"}  # type: ignore[misc]
    await away.aclose()
    await here.aclose()


async def test_the_rescues_of_a_killed_workers_calls_are_told(
    desk: Desk, team: Workers, redis_url: str, tmp_path: Path
) -> None:
    async with Gated().running() as server:
        victim = team.start(**server.catalog(tmp_path), **SHORT_LEASE)
        job_id = await desk.submit(GATED, GATED, merge=False)
        await desk.until(job_id, are_all_running)
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        rescuer = team.start(**server.catalog(tmp_path))
        server.gate.set()
        assert (await desk.ended(job_id))["status"] == "completed"
    rescuer.terminate()  # its last report comes with its end
    rescuer.wait(20)
    redis: Redis = Redis.from_url(redis_url)
    counted = {name.decode(): int(number) for name, number in (await redis.hgetall(COUNTERS_KEY)).items()}  # type: ignore[misc]
    await redis.aclose()
    assert counted["call_lease_expiries"] == counted["call_rescues"] == 2
    assert counted["call_claims"] >= 2
    assert "calls_dead_lettered" not in counted
