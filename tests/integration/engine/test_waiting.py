"""How long work has waited for a worker: told from rows that were rung for once, often, and not at all."""

from datetime import timedelta
from uuid import UUID

import pytest

from common.database import calls, jobs, waiting
from common.ids import uuid7
from tests.integration.engine.stack import Desk

# Told in hours, so that nothing that a test takes itself can be mistaken for waiting.
GRACE = timedelta(hours=5)
LEASE = timedelta(hours=1)


async def ages(desk: Desk) -> dict[str, int]:
    return {row["queue"]: round(row["seconds"] / 3600) for row in await desk.execute(waiting.oldest(GRACE))}


async def let_pass(desk: Desk, hours: int) -> None:
    """As if so much time had gone by: every moment lies so much further back."""
    for table, moments in (("calls", ("due_at", "started_at")), ("jobs", ("due_at", "started_at", "created_at"))):
        moved = ", ".join(f"{name} = {name} - make_interval(hours => :hours)" for name in moments)
        await desk.sql(f"UPDATE {table} SET {moved}", hours=hours)  # noqa: S608  # our own names


async def submitted(desk: Desk, *, is_rung: bool) -> UUID:
    job_id = uuid7()
    row = {"id": str(job_id), "kind": "comparative", "owner": "", "models": [], "request": {}, "waits": not is_rung}
    await desk.execute(jobs.insert([row], GRACE))
    return job_id


async def begun(desk: Desk) -> tuple[UUID, UUID]:
    """A job and its call, which waits in the queue `cloud`."""
    job_id, call_id = await submitted(desk, is_rung=False), uuid7()
    call = {
        "id": str(call_id), "job_id": str(job_id), "round": 0, "position": 0, "model": "mock-a",
        "queue": "cloud", "fingerprint": "f", "request": {},
    }  # fmt: skip
    assert await desk.execute(jobs.begin_rounds([call], GRACE))
    return job_id, call_id


async def test_nothing_waits_where_there_is_nothing(desk: Desk) -> None:
    assert await ages(desk) == {}


async def test_a_call_waits_from_its_dispatch_however_often_it_was_rung_for(desk: Desk) -> None:
    await begun(desk)
    waited = 0
    for hours in (5, 5, 10, 20, 40):
        await let_pass(desk, hours)
        waited += hours
        assert await ages(desk) == {"cloud": waited}
        assert await desk.execute(calls.ring_due(10, GRACE))
        assert await ages(desk) == {"cloud": waited}


async def test_after_many_rings_a_call_is_as_old_as_its_job(desk: Desk) -> None:
    await begun(desk)
    for hours in (5, 5, 10, 20, 40, 80, 160, 160):
        await let_pass(desk, hours)
        await desk.execute(calls.ring_due(10, GRACE))
    assert await ages(desk) == {"cloud": 480}


async def test_a_call_that_a_worker_has_or_that_waits_for_its_next_attempt_is_not_late(desk: Desk) -> None:
    _, call_id = await begun(desk)
    await desk.execute(calls.claim([call_id], "w", LEASE))
    await let_pass(desk, 30)
    assert await ages(desk) == {}
    await desk.execute(calls.release([{"id": str(call_id), "attempt": 1, "delay": 20 * 3600}]))
    await let_pass(desk, 20)
    assert await ages(desk) == {}
    assert await desk.execute(calls.ring_due(10, GRACE))
    await let_pass(desk, 3)
    assert await ages(desk) == {"cloud": 3}


async def test_a_submitted_job_waits_for_a_control_worker(desk: Desk) -> None:
    await submitted(desk, is_rung=True)
    await let_pass(desk, 4)
    assert await ages(desk) == {"control": 4}


async def test_a_job_that_waits_for_its_turn_is_not_late_until_its_turn_was_rung_for(desk: Desk) -> None:
    await submitted(desk, is_rung=False)
    await let_pass(desk, 1000)
    assert await ages(desk) == {}
    assert await desk.execute(jobs.feed(10, GRACE))
    await let_pass(desk, 2)
    assert await ages(desk) == {"control": 2}


async def test_a_complete_round_waits_for_a_control_worker(desk: Desk) -> None:
    _, call_id = await begun(desk)
    await desk.execute(calls.claim([call_id], "w", LEASE))
    await desk.execute(calls.finish([{"id": str(call_id), "attempt": 1, "status": "completed", "answer": {}}], GRACE))
    waited = 0
    for hours in (5, 5, 10):
        await let_pass(desk, hours)
        waited += hours
        assert await desk.execute(jobs.ring_due(10, GRACE))
        assert await ages(desk) == {"control": waited}


@pytest.mark.parametrize(("status", "hours"), [("queued", 0), ("running", 7)])
async def test_the_sweep_owes_a_ring_to_running_jobs_alone(desk: Desk, status: str, hours: int) -> None:
    await submitted(desk, is_rung=False)
    await desk.sql("UPDATE jobs SET status = :status, due_at = now() - interval '7 hours'", status=status)
    [owed] = await desk.execute(jobs.overdue())
    assert round(owed["seconds"] / 3600) == hours
