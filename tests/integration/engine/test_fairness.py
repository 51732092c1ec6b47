"""One owner's thousands do not stand before another one's one: the statements, and real workers."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from common.database import calls, jobs
from common.ids import uuid7
from common.lanes import FRONT_CALLS, FRONT_JOBS
from tests.integration.engine.stack import PATIENCE_SECONDS, Desk, Workers

GRACE = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
CATALOG = """\
defaults: {models: [mock-slow]}
models:
  mock-slow: {parameters: {extra: {latency_seconds: 3.0}}}
"""
ANSWERED = {"attempt": 1, "status": "completed", "answer": {}}

# The most jobs of an owner that were at work at one moment, from when they began and ended.
_MOST_AT_WORK = """
    SELECT max(n) AS n FROM (
        SELECT sum(step) OVER (ORDER BY at, step) AS n FROM (
            SELECT started_at AS at, 1 AS step FROM jobs WHERE owner = :owner
            UNION ALL SELECT finished_at, -1 FROM jobs WHERE owner = :owner) AS steps) AS sums
"""

_STARTED_LATER = """
    SELECT count(*) AS n FROM calls c JOIN jobs j ON j.id = c.job_id, calls mine JOIN jobs m ON m.id = mine.job_id
    WHERE j.owner = 'a' AND m.owner = 'b' AND (c.started_at IS NULL OR c.started_at > mine.started_at)
"""


async def waiting(desk: Desk, owner: str, count: int) -> list[UUID]:
    """Jobs in the owner's backlog, oldest first."""
    return [await desk.submit("mock-a", ring=False, owner=owner) for _ in range(count)]


def first_rounds(ids: list[UUID]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(uuid7()), "job_id": str(job_id), "round": 0, "position": 0, "model": "mock-a",
            "queue": "cloud", "fingerprint": "f", "request": {},
        }
        for job_id in ids
    ]  # fmt: skip


async def begin(desk: Desk, ids: list[UUID], places: int) -> list[UUID]:
    return [row["job_id"] for row in await desk.execute(jobs.begin_rounds(first_rounds(ids), GRACE, places))]


async def fed(desk: Desk, places: int, limit: int = 1000) -> list[UUID]:
    return [row["id"] for row in await desk.execute(jobs.feed(limit, GRACE, places))]


async def end(desk: Desk, job_id: UUID) -> list[UUID]:
    """Finish a job of one call; returns who may begin in its place."""
    [call] = await desk.sql("SELECT id FROM calls WHERE job_id = :id", id=job_id)
    await desk.execute(calls.claim([call["id"]], "w", MINUTE))
    await desk.execute(calls.finish([ANSWERED | {"id": str(call["id"])}], GRACE))
    ending = {"id": str(job_id), "round": 1, "status": "completed", "result": None, "text": "", "error": None}
    rows = await desk.execute(jobs.finish([ending]))
    assert [row["id"] for row in rows if row["has_ended"]] == [job_id]
    return [row["id"] for row in rows if not row["has_ended"]]


async def until_ended(desk: Desk, count: int) -> None:
    """Until so many jobs have ended; fails when patience ends."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(await desk.sql("SELECT FROM jobs WHERE finished_at IS NOT NULL")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_of_one_batch_no_more_begin_than_there_are_places(desk: Desk) -> None:
    one, other = await waiting(desk, "a", 8), await waiting(desk, "b", 2)
    begun = await begin(desk, one + other, places=5)
    assert (len(set(begun) & set(one)), len(set(begun) & set(other))) == (5, 2)


async def test_a_job_that_was_refused_a_place_keeps_its_place_in_the_line(desk: Desk) -> None:
    ids = await waiting(desk, "a", 4)
    await begin(desk, ids[:1], places=1)
    await fed(desk, places=10)  # rung for, and on their way
    assert await begin(desk, [ids[2], ids[1]], places=1) == []
    assert await end(desk, ids[0]) == [ids[1]]


async def test_who_has_begun_goes_on_though_the_places_are_taken(desk: Desk) -> None:
    ids = await waiting(desk, "a", 5)
    await begin(desk, ids, places=5)
    [call] = await desk.sql("SELECT id FROM calls WHERE job_id = :id", id=ids[0])
    await desk.execute(calls.claim([call["id"]], "w", MINUTE))
    await desk.execute(calls.finish([ANSWERED | {"id": str(call["id"])}], GRACE))
    [second] = first_rounds(ids[:1])
    assert await desk.execute(jobs.begin_rounds([second | {"round": 1}], GRACE, 1))


async def test_control_workers_that_begin_at_once_overrun_the_bound_by_a_batch_at_most(desk: Desk) -> None:
    ids = await waiting(desk, "a", 30)
    await asyncio.gather(*(begin(desk, ids[start : start + 10], places=10) for start in (0, 10, 20)))
    assert not await begin(desk, ids, places=10)
    [row] = await desk.sql("SELECT count(*) AS n FROM jobs WHERE status = 'running'")
    assert 10 <= row["n"] <= 30


async def test_everybodys_first_job_is_fed_before_anybodys_second(desk: Desk) -> None:
    crowd, pair, one = await waiting(desk, "a", 20), await waiting(desk, "b", 2), await waiting(desk, "c", 1)
    assert await fed(desk, places=5, limit=6) == [crowd[0], pair[0], one[0], crowd[1], pair[1]]


async def test_what_was_rung_for_takes_a_place_until_it_begins(desk: Desk) -> None:
    ids = await waiting(desk, "a", 6)
    assert await fed(desk, places=4) == ids[:4]
    assert await fed(desk, places=4) == []
    await begin(desk, ids[:4], places=4)
    assert await fed(desk, places=4) == []


async def test_a_ring_that_was_lost_is_rung_again(desk: Desk) -> None:
    ids = await waiting(desk, "a", 3)
    assert await fed(desk, places=2) == ids[:2]
    await desk.sql("UPDATE jobs SET due_at = now() - interval '1 hour' WHERE id = ANY(:ids)", ids=ids[:2])
    assert await fed(desk, places=2) == ids[:2]


async def test_the_end_of_a_job_begins_the_next_of_its_owner_and_of_no_other(desk: Desk) -> None:
    mine, _ = await waiting(desk, "a", 3), await waiting(desk, "b", 1)
    await begin(desk, mine[:1], places=1)
    assert await end(desk, mine[0]) == [mine[1]]
    await begin(desk, mine[1:2], places=1)
    assert await end(desk, mine[1]) == [mine[2]]
    await begin(desk, mine[2:], places=1)
    assert await end(desk, mine[2]) == []


async def test_beyond_the_first_few_an_owners_jobs_travel_in_the_back(desk: Desk) -> None:
    many, one = await waiting(desk, "a", FRONT_JOBS + 2), await waiting(desk, "b", 1)
    rows = await desk.execute(jobs.feed(1000, GRACE, 500))
    assert {row["id"] for row in rows if not row["is_front"]} == set(many[-2:])
    begun = await desk.execute(jobs.begin_rounds(first_rounds(many), GRACE, 500))
    assert [row["is_front"] for row in begun].count(False) == 2
    [row] = await desk.execute(jobs.begin_rounds(first_rounds(one), GRACE, 500))
    assert row["is_front"]


async def test_a_sweep_moves_calls_of_the_back_lane_to_the_front_though_few_at_a_time(desk: Desk) -> None:
    many = await waiting(desk, "a", FRONT_CALLS + 5)
    await begin(desk, many, places=500)
    await begin(desk, await waiting(desk, "b", 1), places=500)
    await desk.sql("UPDATE calls SET due_at = now()")
    rows = await desk.execute(calls.ring_due(1000, GRACE))
    assert len(rows) == FRONT_CALLS + 6
    assert sum(row["is_front"] for row in rows) == FRONT_CALLS + 1


async def test_one_owners_two_hundred_jobs_do_not_delay_anothers_one(desk: Desk, team: Workers) -> None:
    team.start(ULTRA_JOBS_AT_ONCE_PER_KEY="5")
    await waiting(desk, "a", 200)
    await until_ended(desk, 1)
    [mine] = await waiting(desk, "b", 1)
    await desk.ended(mine)
    [ahead] = await desk.sql(
        "SELECT count(*) AS n FROM jobs WHERE owner = 'a' AND finished_at BETWEEN :since AND :till",
        since=(await desk.job(mine))["created_at"],
        till=(await desk.job(mine))["finished_at"],
    )
    # in one line it would be all but a few
    assert ahead["n"] < 180
    await until_ended(desk, 201)
    assert {row["status"] for row in await desk.sql("SELECT status FROM jobs")} == {"completed"}
    [most] = await desk.sql(_MOST_AT_WORK, owner="a")
    assert most["n"] <= 5


async def test_a_call_overtakes_the_calls_that_another_owner_has_waiting(
    desk: Desk, team: Workers, tmp_path: Path
) -> None:
    """80 jobs of three calls of three seconds, and 32 threads: who stood at the end would wait for eight rounds."""
    path = tmp_path / "models.yaml"
    path.write_text(CATALOG)
    for kind in ("control", "cloud", "local"):
        team.start(kind, ULTRA_MODELS_PATH=str(path))
    for _ in range(80):
        await desk.submit(*["mock-slow"] * 3, ring=False, owner="a", merge=False)
    await until_ended(desk, 1)
    await desk.ended(await desk.submit("mock-slow", owner="b", merge=False))
    [overtaken] = await desk.sql(_STARTED_LATER)
    # In one line it would have overtaken nobody: all of them were there before it. On a slow machine more of
    # them have begun by the time it comes.
    assert overtaken["n"] >= 30, "it waited for its turn among the others"


async def test_nobody_starves_when_the_control_worker_dies(desk: Desk, team: Workers) -> None:
    team.start("cloud", ULTRA_JOBS_AT_ONCE_PER_KEY="5")
    team.start("local", ULTRA_JOBS_AT_ONCE_PER_KEY="5")
    owners = [f"owner-{number}" for number in range(6)]
    for owner in owners:
        await waiting(desk, owner, 20)
    for _ in range(2):
        victim = team.start("control", ULTRA_JOBS_AT_ONCE_PER_KEY="5")
        [before] = await desk.sql("SELECT count(*) AS n FROM jobs WHERE finished_at IS NOT NULL")
        await until_ended(desk, before["n"] + 10)
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
    team.start("control", ULTRA_JOBS_AT_ONCE_PER_KEY="5")
    await until_ended(desk, 120)
    assert {row["status"] for row in await desk.sql("SELECT status FROM jobs")} == {"completed"}
