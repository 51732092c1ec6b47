"""Jobs that were rung for in vain: the next step of one may be what its workers die of, and somebody must end it."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DataError, OperationalError

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.counters import Count
from common.database import jobs
from common.database.jobs import SUSPICIOUS_RINGS
from tests.integration.engine.runners import Heard
from tests.integration.engine.stack import Desk, Workers
from tests.integration.engine.test_suspects import sweep
from worker import workflows
from worker.counters import Tally
from worker.engine import Engine
from worker.store import Store

MINUTE = timedelta(minutes=1)
MAX_ATTEMPTS = 2
# Only a failure waits this long.
PATIENCE_SECONDS = 120
FRAGILE_WORKER = (sys.executable, "-m", "tests.integration.engine.fragile_worker")
CATALOG = Catalog({"mock-a": ModelEntry(id="mock-a", provider="mock", name="mock-a")}, {})


@pytest.fixture(autouse=True, scope="module")
def _recipes() -> None:
    workflows.register_all()


class Faulty(Store):
    """Cannot load a job while it has a `fault`."""

    fault: Exception | None = None

    async def load_job(self, job_id: UUID) -> Any:
        if self.fault is not None:
            raise self.fault
        return await super().load_job(job_id)


class Bench:
    """An engine over the real database."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.store = Faulty(desk.engine, worker="w", lease=MINUTE, grace=MINUTE)
        self.events, self.tally = Heard(), Tally()
        self.engine = Engine(self.store, lambda: CATALOG, self.events, max_attempts=MAX_ATTEMPTS, tally=self.tally)

    async def fail(self, job_id: UUID, fault: Exception, times: int = 1) -> None:
        self.store.fault = fault
        for _ in range(times):
            with pytest.raises(type(fault)):
                await self.engine.advance_suspect(job_id)
        self.store.fault = None

    async def silences(self, job_id: UUID) -> int:
        return int((await self.desk.job(job_id))["silences"])


@pytest.fixture
def bench(desk: Desk) -> Bench:
    return Bench(desk)


async def rung(desk: Desk, status: str) -> list[tuple[bool, bool]]:
    """Whether a job of this status was rung for, and as a suspect, at each of some sweeps."""
    job_id = await desk.submit("mock-a", ring=False)
    await desk.sql("UPDATE jobs SET status = :status WHERE id = :id", status=status, id=job_id)
    seen = []
    for _ in range(SUSPICIOUS_RINGS + 1):
        await desk.sql("UPDATE jobs SET due_at = now() WHERE id = :id", id=job_id)
        found = await sweep(desk).once()
        rings = list(found.rings.values())
        seen.append(
            (any(str(job_id) in one.job_ids for one in rings), any(str(job_id) in one.suspects for one in rings))
        )
    return seen


@pytest.mark.parametrize("status", ["queued", "running"])
async def test_a_job_that_was_rung_for_in_vain_is_a_suspect(desk: Desk, status: str) -> None:
    assert await rung(desk, status) == [(True, False)] * (SUSPICIOUS_RINGS - 1) + [(False, True)] * 2


async def test_a_suspect_that_takes_its_step_is_none_any_more(desk: Desk, bench: Bench) -> None:
    job_id = await desk.submit("mock-a", merge=False)
    await bench.fail(job_id, MemoryError(), times=MAX_ATTEMPTS - 1)
    assert await bench.engine.advance_suspect(job_id)
    assert await bench.silences(job_id) == 0


async def test_a_suspect_that_nobody_comes_back_from_is_given_up_and_says_so(desk: Desk, bench: Bench) -> None:
    job_id = await desk.submit("mock-a", merge=False)
    await bench.fail(job_id, MemoryError(), times=MAX_ATTEMPTS)
    assert await bench.engine.advance_suspect(job_id) is None
    job = await desk.job(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "dead_lettered")
    assert f"{MAX_ATTEMPTS} times" in job["error"]["message"]
    assert bench.events.events == [("job.finished", {"status": "failed"})]
    assert bench.tally[Count.DEAD_JOBS] == 1
    assert await bench.engine.advance_suspect(job_id) is None


async def test_who_is_given_up_makes_room_for_the_next(desk: Desk, bench: Bench) -> None:
    poison, following = await desk.submit("mock-a"), await desk.submit("mock-a", ring=False)
    await bench.fail(poison, MemoryError(), times=MAX_ATTEMPTS)
    begun = await bench.engine.advance_suspect(poison)
    assert begun is not None
    assert begun.job_id == str(following)


@pytest.mark.parametrize(
    ("fault", "silences"),
    [(OperationalError("", {}, Exception()), 0), (OSError(), 0), (DataError("", {}, Exception()), 3)],
)
async def test_postgres_being_away_is_no_fault_of_a_job(
    desk: Desk, bench: Bench, fault: Exception, silences: int
) -> None:
    job_id = await desk.submit("mock-a")
    await bench.fail(job_id, fault, times=MAX_ATTEMPTS)
    assert await bench.silences(job_id) == min(silences, MAX_ATTEMPTS)


async def test_a_job_that_waits_for_calls_or_has_ended_is_no_suspect(desk: Desk, bench: Bench) -> None:
    job_id = await desk.submit("mock-a", merge=False)
    assert await bench.engine.advance_suspect(job_id)
    assert await bench.engine.advance_suspect(job_id) is None
    assert await bench.silences(job_id) == 0
    await desk.execute(jobs.cancel(job_id))
    assert await bench.store.suspect(job_id) is None


async def test_a_job_whose_step_kills_its_workers_is_given_up_and_others_are_served(
    desk: Desk, team: Workers, tmp_path: Path
) -> None:
    fatal = tmp_path / "fatal"
    fatal.write_text("")
    environment = {"FATAL": str(fatal), "ULTRA_MAX_ATTEMPTS": "1", "ULTRA_PUBLISH_GRACE_SECONDS": "0.2"}
    poison = await desk.submit("mock-a", ring=False)
    fatal.write_text(str(poison))
    innocent = await desk.submit("mock-a", merge=False)
    deaths = 0
    worker = team.start(program=FRAGILE_WORKER, **environment)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (job := await desk.job(poison))["finished_at"] is None:
            if worker.poll() is not None:
                deaths += 1
                worker = team.start(program=FRAGILE_WORKER, **environment)
            await asyncio.sleep(0.1)
    assert (job["status"], job["error"]["code"]) == ("failed", "dead_lettered")
    assert 1 <= deaths <= SUSPICIOUS_RINGS  # fewer where one worker died of two rings
    assert (await desk.ended(innocent))["status"] == "completed"
