"""One bad row in a batch is nobody else's fault."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from common.contracts.calls import Answer
from common.database.faults import is_of_a_row
from tests.integration.engine.stack import Desk
from tests.integration.engine.test_counters import begun
from worker.store import Ending, Store

MINUTE = timedelta(minutes=1)
UNSTORABLE = ("a NUL \x00", "half a pair \ud83d")


def store(desk: Desk) -> Store:
    return Store(desk.engine, worker="w", lease=MINUTE, grace=MINUTE)


def said(call_id: UUID, text: str) -> Ending:
    return Ending(call_id, 1, "completed", Answer(model="mock-a", status="completed", text=text))


@pytest.mark.parametrize("text", UNSTORABLE)
async def test_an_answer_that_postgres_refuses_keeps_no_other_from_being_recorded(desk: Desk, text: str) -> None:
    job_id, ids = await begun(desk, 3)
    worker = store(desk)
    await asyncio.gather(*(worker.claim(id_) for id_ in ids))
    endings = [said(ids[0], "Yes."), said(ids[1], text), said(ids[2], "No.")]
    first, poison, last = await asyncio.gather(*map(worker.finish_call, endings), return_exceptions=True)
    assert {first, last} == {2, 1}
    assert isinstance(poison, Exception)
    assert is_of_a_row(poison)
    assert (await desk.job(job_id))["pending"] == 1


async def test_a_call_that_this_version_cannot_read_keeps_no_other_from_being_claimed(desk: Desk) -> None:
    _, ids = await begun(desk, 3)
    newer = """{"model": "mock-a", "messages": [], "parameters": {"a_later_one": 1}}"""
    await desk.sql("UPDATE calls SET request = CAST(:newer AS json) WHERE id = :id", newer=newer, id=ids[1])
    worker = store(desk)
    claims = await asyncio.gather(*(worker.claim(id_) for id_ in ids), return_exceptions=True)
    assert [getattr(claims[place], "call_id", None) for place in (0, 2)] == [ids[0], ids[2]]
