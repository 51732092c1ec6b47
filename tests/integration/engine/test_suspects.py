"""Calls on which several workers fell silent: one of them may be what kills, and its neighbours must not pay for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.database import calls
from common.events import EventSink
from common.routing import COSTS_NO_RETRY
from tests.integration.engine.stack import PATIENCE_SECONDS, Desk
from tests.integration.engine.test_statements import EXPIRED, GRACE, LEASE, begun
from worker.recovery import Found, Sweep, suspicious_from

MAX_ATTEMPTS = 3
SUSPICIOUS = suspicious_from(MAX_ATTEMPTS)


class Unheard:
    """An event sink for tests that watch nothing."""

    def append(self, *_: object) -> None: ...


def sweep(desk: Desk) -> Sweep:
    sink: EventSink = Unheard()
    return Sweep(
        desk.engine, sink, lambda _: None, grace=timedelta(minutes=1), max_attempts=MAX_ATTEMPTS, interval_seconds=60
    )


async def silence(desk: Desk, ids: list[UUID], times: int) -> Found:
    """Have workers take these calls and die, again and again."""
    for number in range(times):
        await desk.execute(calls.claim(ids, f"dead-{number}", EXPIRED))
        found = await sweep(desk).once()
    return found


async def held(desk: Desk, ids: list[UUID], worker: str) -> list[UUID]:
    return [row["id"] for row in await desk.execute(calls.claim(ids, worker, LEASE, SUSPICIOUS))]


async def test_a_worker_holds_one_suspect_at_a_time_and_others_beside_it(desk: Desk) -> None:
    _, suspects = await begun(desk, 3)
    _, innocents = await begun(desk, 2)
    await silence(desk, suspects, times=2)
    first = await held(desk, [*suspects, *innocents], "w1")
    assert set(innocents) < set(first)
    assert len(first) == 3
    assert await held(desk, suspects, "w1") == []
    assert len(await held(desk, suspects, "w2")) == 1


async def test_the_next_suspect_is_taken_when_the_first_is_done(desk: Desk) -> None:
    _, suspects = await begun(desk, 2)
    await silence(desk, suspects, times=2)
    [first] = await held(desk, suspects, "w")
    row = {"id": str(first), "attempt": 3, "status": "completed", "answer": {}}
    assert await desk.execute(calls.finish([row], GRACE))
    assert await held(desk, suspects, "w") == [one for one in suspects if one != first]


async def test_suspects_are_rung_for_and_taken_from_the_last_begun_to_the_first(desk: Desk) -> None:
    _, ids = await begun(desk, 2 * calls.SUSPECTS_RUNG)
    for call_id in ids:
        await desk.execute(calls.claim([call_id], "first", EXPIRED))
    await sweep(desk).once()
    await desk.execute(calls.claim(ids, "second", EXPIRED))
    for _ in range(3):
        await sweep(desk).once()
        rung = {row["id"] for row in await desk.sql("SELECT id FROM calls WHERE rings > 1")}
        assert rung <= set(ids[-calls.SUSPECTS_RUNG :])
    assert rung, "those few are rung for again and again"
    assert await held(desk, ids, "w") == ids[-1:]


async def test_suspects_that_wait_for_their_turn_keep_no_other_call_from_being_rung_for(desk: Desk) -> None:
    _, suspects = await begun(desk, 2 * calls.SUSPECTS_RUNG)
    await silence(desk, suspects, times=2)
    _, ordinary = await begun(desk, 2)
    await desk.sql("UPDATE calls SET due_at = now() WHERE id = ANY(:ids)", ids=ordinary)
    rung = {row["id"] for row in await desk.execute(calls.ring_due(len(ordinary), GRACE, SUSPICIOUS))}
    assert rung == {*ordinary, *sorted(suspects)[-calls.SUSPECTS_RUNG :]}


async def test_a_suspect_whose_worker_dies_is_given_up_and_the_others_are_pardoned(desk: Desk) -> None:
    _, [culprit, innocent] = await begun(desk, 2)
    await silence(desk, [culprit, innocent], times=2)
    found = await silence(desk, [culprit], times=1)
    assert [call["id"] for call in found.dead] == [culprit]
    [row] = await desk.sql("SELECT id, status, silences FROM calls WHERE status = 'queued'")
    assert (row["id"], row["silences"]) == (innocent, 0)


@asynccontextmanager
async def sweeping_into(desk: Desk, call_id: UUID) -> AsyncIterator[tuple[AsyncConnection, "asyncio.Task[Found]"]]:
    """A worker's statement that has locked this call, and a sweep that came upon it."""
    async with desk.engine.connect() as pooled:
        worker = await pooled.execution_options(isolation_level="READ COMMITTED")
        async with worker.begin():
            await worker.execute(text("SELECT FROM calls WHERE id = :id FOR UPDATE"), {"id": call_id})
            sweeping = asyncio.create_task(sweep(desk).once())
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not sweeping.done() and not await desk.sql("SELECT FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # Postgres has no event
                    await asyncio.sleep(0.01)
            yield worker, sweeping


async def test_a_worker_that_records_a_suspect_can_count_it_while_others_are_pardoned(desk: Desk) -> None:
    job_id, [culprit, innocent] = await begun(desk, 2)
    await silence(desk, [culprit, innocent], times=2)
    await desk.execute(calls.claim([innocent], "w", LEASE))
    await desk.execute(calls.claim([culprit], "dead", EXPIRED))
    async with sweeping_into(desk, innocent) as (worker, sweeping):
        await worker.execute(text("UPDATE jobs SET rings = 0 WHERE id = :id"), {"id": job_id})
    found = await sweeping
    assert [call["id"] for call in found.dead] == [culprit]
    [row] = await desk.sql("SELECT silences FROM calls WHERE id = :id", id=innocent)
    assert row["silences"] == 0


async def test_a_worker_that_wakes_up_can_renew_its_leases_while_they_are_being_taken(desk: Desk) -> None:
    _, ids = await begun(desk, 2)
    hopeless, other = sorted(ids)
    await silence(desk, [hopeless], times=2)
    await desk.execute(calls.claim(ids, "asleep", EXPIRED))
    async with sweeping_into(desk, hopeless) as (worker, sweeping):
        await worker.execute(text("SELECT FROM calls WHERE id = :id FOR UPDATE"), {"id": other})
    assert [call["id"] for call in (await sweeping).rescued] == [other]


async def test_workers_that_died_cost_a_job_no_retries(desk: Desk) -> None:
    job_id, [call_id] = await begun(desk, 1)
    await silence(desk, [call_id], times=1)
    assert [row["n"] for row in await desk.execute(calls.retries(job_id, COSTS_NO_RETRY))] == [0]
    met = [{"model": "a", "code": code, "message": ""} for code in ("unavailable", "circuit_open", "offline")]
    await desk.execute(calls.claim([call_id], "w", LEASE))
    await desk.execute(calls.release([{"id": str(call_id), "attempt": 2, "delay": 0, "route": {"history": met}}]))
    assert [row["n"] for row in await desk.execute(calls.retries(job_id, COSTS_NO_RETRY))] == [2]
