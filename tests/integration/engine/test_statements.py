"""The promises of single statements: fencing, compare-and-set, counting under concurrency."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.database import calls, jobs
from common.ids import uuid7
from tests.integration.engine.stack import Desk

GRACE = timedelta(seconds=5)
LEASE = timedelta(seconds=30)
EXPIRED = timedelta(seconds=-1)


async def begun(desk: Desk, calls_a_job: int = 1) -> tuple[UUID, list[UUID]]:
    job_id = await desk.submit(*["mock-a"] * calls_a_job, ring=False)
    asked = round_of(job_id, calls_a_job)
    assert await desk.execute(jobs.begin_rounds(asked, GRACE))
    return job_id, [UUID(call["id"]) for call in asked]


def round_of(job_id: UUID, size: int) -> list[dict[str, Any]]:
    return [
        {
            "id": str(uuid7()), "job_id": str(job_id), "round": 0, "position": position, "model": "mock-a",
            "queue": "cloud", "fingerprint": "f", "request": {},
        }
        for position in range(size)
    ]  # fmt: skip


def ending(call_id: UUID, attempt: int) -> dict[str, Any]:
    return {"id": str(call_id), "attempt": attempt, "status": "completed", "answer": {}}


async def test_a_call_is_claimed_by_one(desk: Desk) -> None:
    _, [call_id] = await begun(desk)
    rows = await asyncio.gather(*(desk.execute(calls.claim([call_id], f"w{n}", LEASE)) for n in range(5)))
    assert sorted(len(row) for row in rows) == [0, 0, 0, 0, 1]


async def test_an_expired_lease_can_be_claimed_and_its_old_token_is_stale(desk: Desk) -> None:
    _, [call_id] = await begun(desk)
    await desk.execute(calls.claim([call_id], "first", EXPIRED))
    [second] = await desk.execute(calls.claim([call_id], "second", LEASE))
    assert second["attempt"] == 2
    assert not await desk.execute(calls.finish([ending(call_id, 1)], GRACE))
    assert not await desk.execute(calls.heartbeat([(call_id, 1)], LEASE))
    assert not await desk.execute(calls.release([{"id": str(call_id), "attempt": 1, "delay": 0}]))
    assert await desk.execute(calls.finish([ending(call_id, 2)], GRACE))


async def test_a_result_counts_once(desk: Desk) -> None:
    job_id, [call_id] = await begun(desk)
    await desk.execute(calls.claim([call_id], "w", LEASE))
    assert await desk.execute(calls.finish([ending(call_id, 1)], GRACE))
    assert not await desk.execute(calls.finish([ending(call_id, 1)], GRACE))
    assert (await desk.job(job_id))["pending"] == 0


async def test_a_round_begins_once(desk: Desk) -> None:
    job_id = await desk.submit("mock-a", ring=False)
    rows = await asyncio.gather(*(desk.execute(jobs.begin_rounds(round_of(job_id, 3), GRACE)) for _ in range(5)))
    assert sorted(len(row) for row in rows) == [0, 0, 0, 0, 3]
    assert (await desk.job(job_id))["total"] == 3


async def test_a_cancelled_jobs_calls_are_not_claimed(desk: Desk) -> None:
    job_id, [call_id] = await begun(desk)
    await desk.execute(jobs.cancel(job_id))
    assert not await desk.execute(calls.claim([call_id], "w", LEASE))


async def test_the_fan_in_is_exact_when_many_finish_at_once(desk: Desk) -> None:
    begun_jobs = [await begun(desk, 20) for _ in range(10)]
    ids = [call_id for _, call_ids in begun_jobs for call_id in call_ids]
    random.shuffle(ids)
    assert len(await desk.execute(calls.claim(ids, "w", LEASE))) == 200
    batches = [ids[start::20] for start in range(20)]
    finishes = [desk.execute(calls.finish([ending(call_id, 1) for call_id in batch], GRACE)) for batch in batches * 2]
    beats = [desk.execute(calls.heartbeat([(call_id, 1) for call_id in ids], LEASE)) for _ in range(10)]
    counted = await asyncio.gather(*finishes, *beats)
    assert sum(len(rows) for rows in counted[:40]) == 200
    for job_id, _ in begun_jobs:
        assert (await desk.job(job_id))["pending"] == 0


async def test_a_repeated_idempotency_key_stores_nothing(desk: Desk) -> None:
    row = {"kind": "comparative", "owner": "k", "models": [], "request": {}, "idempotency_key": "same"}
    rows = [row | {"id": str(uuid7())} for _ in range(3)]
    stored = await asyncio.gather(*(desk.execute(jobs.insert([one], GRACE)) for one in rows))
    assert sorted(len(found) for found in stored) == [0, 0, 1]


async def test_each_ring_doubles_the_wait_for_the_next(desk: Desk) -> None:
    job_id = await desk.submit("mock-a", ring=False)
    waits = []
    for _ in range(3):
        await desk.sql("UPDATE jobs SET due_at = now()")
        assert [row["id"] for row in await desk.execute(jobs.feed(10, timedelta(hours=5)))] == [job_id]
        [wait] = await desk.sql("SELECT extract(epoch FROM due_at - now()) / 3600 AS hours FROM jobs")
        waits.append(round(float(wait["hours"])))
    assert waits == [5, 10, 20]


async def test_a_request_keeps_the_order_of_its_fields(desk: Desk) -> None:
    """A model held to a schema fills the fields in the order they stand there: the why after the score."""
    job_id = await desk.submit("mock-a", ring=False)
    [asked] = round_of(job_id, 1)
    asked["request"] = {"ranking": 1, "why": 2, "a": {"score": 3, "b": 4}}
    await desk.execute(jobs.begin_rounds([asked], GRACE))
    [claimed] = await desk.execute(calls.claim([UUID(asked["id"])], "w", LEASE))
    assert list(claimed["request"]) == ["ranking", "why", "a"]
    assert list(claimed["request"]["a"]) == ["score", "b"]
