"""One row of usage a finished call: never none, never two, whatever is delivered twice or dies."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from common.contracts.calls import Answer, ErrorDetail, Usage
from common.database import calls, jobs, usage
from common.events import EventName
from common.ids import uuid7
from tests.integration.engine.stack import Desk, Workers
from worker.recovery import Sweep

MINUTE = timedelta(minutes=1)
EXPIRED = timedelta(seconds=-1)

ANSWER = Answer(
    model="mock-a",
    served_by="openai-gpt4o",
    provider="openai",
    status="completed",
    text="Yes.",
    usage=Usage(prompt_tokens=1200, completion_tokens=34, total_tokens=1234, cached_prompt_tokens=1000),
    cost_usd=1.25e-05,
    latency_ms=812.4,
    time_to_first_token_ms=95.1,
    attempts=2,
)


class NobodyWatches:
    """Events that nobody reads."""

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None: ...


async def claimed(desk: Desk, size: int = 1, lease: timedelta = MINUTE) -> tuple[UUID, list[UUID]]:
    """A job of one round whose calls somebody holds."""
    job_id = await desk.submit(*["mock-a"] * size, ring=False)
    asked = [
        {
            "id": str(uuid7()), "job_id": str(job_id), "round": 0, "position": position, "model": "mock-a",
            "queue": "cloud", "fingerprint": "f", "request": {},
        }
        for position in range(size)
    ]  # fmt: skip
    await desk.execute(jobs.begin_rounds(asked, MINUTE))
    ids = [UUID(str(call["id"])) for call in asked]
    assert len(await desk.execute(calls.claim(ids, "w", lease))) == size
    return job_id, ids


async def finish(desk: Desk, *ids: UUID, answer: Answer = ANSWER, attempt: int = 1) -> list[RowMapping]:
    document = answer.model_dump(mode="json")
    rows = [{"id": str(one), "attempt": attempt, "status": answer.status, "answer": document} for one in ids]
    return await desk.execute(calls.finish(rows, MINUTE))


async def spent(desk: Desk) -> list[RowMapping]:
    return await desk.sql("SELECT * FROM usage ORDER BY call_id")


async def test_a_row_says_who_asked_whom_and_what_it_took(desk: Desk) -> None:
    job_id, [call_id] = await claimed(desk)
    await desk.sql("UPDATE jobs SET owner = 'k'")
    await finish(desk, call_id)
    [row] = await spent(desk)
    [finished] = await desk.sql("SELECT finished_at FROM calls")
    assert dict(row) == {
        "call_id": call_id,
        "at": finished["finished_at"],
        "owner": "k",
        "source": "job",
        "job_id": job_id,
        "request_id": None,
        "kind": "comparative",
        "model": "mock-a",
        "served_by": "openai-gpt4o",
        "provider": "openai",
        "status": "completed",
        "error_code": None,
        "prompt_tokens": 1200,
        "completion_tokens": 34,
        "cached_prompt_tokens": 1000,
        "reasoning_tokens": None,
        "cost_usd": Decimal("0.0000125"),
        "time_to_first_token_ms": 95.1,
        "latency_ms": 812.4,
        "attempts": 2,
        "cached": False,
    }


async def test_a_failed_call_has_a_row_with_its_error_and_no_cost(desk: Desk) -> None:
    _, [call_id] = await claimed(desk)
    error = ErrorDetail(code="rate_limited", message="Later.")
    await finish(desk, call_id, answer=Answer(model="mock-a", status="failed", attempts=3, error=error))
    [row] = await spent(desk)
    assert (row["status"], row["error_code"], row["attempts"]) == ("failed", "rate_limited", 3)
    assert (row["served_by"], row["cost_usd"], row["prompt_tokens"], row["latency_ms"]) == (None, None, None, None)


async def test_a_late_result_leaves_no_row(desk: Desk) -> None:
    _, [call_id] = await claimed(desk, lease=EXPIRED)
    await desk.execute(calls.claim([call_id], "second", MINUTE))
    assert not await finish(desk, call_id, attempt=1)
    assert not await spent(desk)
    assert await finish(desk, call_id, attempt=2)
    assert len(await spent(desk)) == 1


async def test_results_that_are_recorded_over_and_over_at_once_have_one_row_each(desk: Desk) -> None:
    begun = [await claimed(desk, 10) for _ in range(5)]
    ids = [call_id for _, call_ids in begun for call_id in call_ids]
    await asyncio.gather(*(finish(desk, *ids[start::10]) for start in range(10) for _ in range(4)))
    assert [row["call_id"] for row in await spent(desk)] == sorted(ids)


async def test_a_call_that_the_sweep_gives_up_has_its_row(desk: Desk) -> None:
    _, [call_id] = await claimed(desk, lease=EXPIRED)
    sweep = Sweep(desk.engine, NobodyWatches(), lambda _: None, grace=MINUTE, max_attempts=1, interval_seconds=1)
    assert len((await sweep.once()).dead) == 1
    assert not (await sweep.once()).dead
    [row] = await spent(desk)
    assert (row["call_id"], row["status"], row["error_code"]) == (call_id, "failed", "dead_lettered")


async def test_a_row_outlives_its_job(desk: Desk) -> None:
    job_id, [call_id] = await claimed(desk)
    await finish(desk, call_id)
    await desk.execute(jobs.cancel(job_id))
    assert await desk.execute(jobs.remove(job_id))
    assert [row["job_id"] for row in await spent(desk)] == [job_id]


async def test_workers_that_are_rung_for_everything_twice_leave_one_row_a_call(desk: Desk, team: Workers) -> None:
    for _ in range(2):
        team.start()
    ids = [await desk.submit("mock-a", "mock-error", merge=False) for _ in range(10)]
    await desk.sql("UPDATE jobs SET due_at = now() WHERE status = 'queued'")
    recorded = [call for job_id in ids for call in (await desk.ended(job_id))["calls"]]
    rows = await spent(desk)
    assert sorted(str(row["call_id"]) for row in rows) == sorted(call["id"] for call in recorded)
    assert {(row["model"], row["status"]) for row in rows} == {("mock-a", "completed"), ("mock-error", "failed")}


async def test_calls_of_no_job_are_written_down_once_in_batches(desk: Desk) -> None:
    row = {
        "call_id": str(uuid7()), "owner": "k", "source": "gateway", "kind": "chat", "model": "mock-a",
        "served_by": "mock-b", "provider": "mock", "status": "completed", "prompt_tokens": 3, "cost_usd": 0.5,
    }  # fmt: skip
    other = row | {"call_id": str(uuid7()), "status": "failed", "error_code": "timeout", "cost_usd": None}
    for _ in range(2):
        await desk.execute(usage.insert([row, other]))
    completed, failed = await desk.sql("SELECT * FROM usage ORDER BY status")
    assert (completed["source"], completed["job_id"], completed["attempts"]) == ("gateway", None, 1)
    assert (completed["cost_usd"], failed["cost_usd"], failed["error_code"]) == (Decimal("0.5"), None, "timeout")
