"""Postgres goes between two statements of one call, or after a commit and before its reply; so does the worker."""

import asyncio
from typing import Any

from common.contracts.calls import Answer
from common.errors import Unavailable
from tests.integration.engine.runners import Bench, Postgres, yes
from tests.integration.engine.stack import Desk
from tests.integration.engine.test_counters import begun
from worker.store import Claim

# Far less than a result is kept in hand for.
SOON_SECONDS = 15

FINISH, RETRIES, RENEW, RELEASE = "INSERT INTO usage", "AS met", "SET attempt = attempt + 1, route", "h.delay"


async def says_yes(claim: Claim) -> Answer:
    return yes(claim)


async def is_down(_: Claim) -> Answer:
    raise Unavailable("Nobody there.")


async def only_call(desk: Desk, job_id: Any) -> Any:
    [row] = await desk.sql("SELECT * FROM calls WHERE job_id = :id", id=job_id)
    return row


async def test_an_answer_that_postgres_refuses_ends_its_call_as_failed(desk: Desk) -> None:
    async def says_nul(claim: Claim) -> Answer:
        return Answer(model=claim.model, status="completed", text="\x00")

    job_id, [call_id] = await begun(desk)
    bench = Bench(desk.engine, says_nul)
    assert await asyncio.wait_for(bench.runner.run(call_id), SOON_SECONDS) == job_id
    assert (await only_call(desk, job_id))["status"] == "failed"


async def test_a_result_whose_reply_was_lost_is_shown_and_completes_its_round(desk: Desk) -> None:
    job_id, [call_id] = await begun(desk)
    bench, postgres = Bench(desk.engine, says_yes), Postgres(desk.engine)
    postgres.lose_after(FINISH)
    assert await asyncio.wait_for(bench.runner.run(call_id), SOON_SECONDS) == job_id
    assert postgres.has_lost
    assert bench.events.names() == ["call.started", "call.finished"]


async def test_a_call_that_failed_while_postgres_was_away_waits_for_its_next_attempt(desk: Desk) -> None:
    job_id, [call_id] = await begun(desk)
    bench, postgres = Bench(desk.engine, is_down), Postgres(desk.engine)
    postgres.lose_before(RETRIES)
    postgres.lose_before(RELEASE)
    await asyncio.wait_for(bench.runner.run(call_id), SOON_SECONDS)
    assert postgres.has_lost
    call = await only_call(desk, job_id)
    assert (call["status"], call["silences"]) == ("queued", 0)
    assert call["route"]["history"][0]["code"] == "unavailable"


async def test_a_call_that_is_claimed_after_the_drain_time_goes_back_at_once(desk: Desk) -> None:
    async def never_ends(claim: Claim) -> Answer:
        await asyncio.Event().wait()
        return yes(claim)

    job_id, [call_id] = await begun(desk)
    bench = Bench(desk.engine, never_ends)
    bench.runner.is_draining = True
    bench.leases.stop_all()
    running = asyncio.create_task(bench.runner.run(call_id))
    done, _ = await asyncio.wait([running], timeout=SOON_SECONDS)
    running.cancel()
    await asyncio.wait([running])
    assert done, "it is still at work"
    assert (await only_call(desk, job_id))["status"] == "queued"
