"""Retention on a real database: what goes, what stays, and who may do it at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import Interval, Table, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.contracts.jobs import TERMINAL
from common.database import retention
from common.database.connect import connect
from common.database.tables import calls, jobs, usage
from common.ending import end
from common.events import stream_key
from common.retention import Removed, remove_older
from worker.retention import Retention

DAY = timedelta(days=1)
_FILL = text(
    """
    WITH job AS (
        INSERT INTO jobs (id, kind, status, models, request, round, total, created_at, finished_at)
        SELECT uuidv7(-:age), 'comparative', :status, '[]', '{}', 1, :calls, now() - :age,
               CASE WHEN :has_ended THEN now() - :age END
        FROM generate_series(1, :jobs)
        RETURNING id
    ), call AS (
        INSERT INTO calls (id, job_id, round, position, model, queue, fingerprint, request)
        SELECT uuidv7(), job.id, 0, n, 'mock-a', 'cloud', '', '{}' FROM job, generate_series(1, :calls) AS n
        RETURNING id, job_id
    ), spent AS (
        INSERT INTO usage (call_id, job_id, owner, kind, model, status)
        SELECT id, job_id, '', 'comparative', 'mock-a', 'completed' FROM call
    )
    SELECT id FROM job
    """
).bindparams(bindparam("age", type_=Interval))


class Archive:
    """A database with jobs of the past."""

    def __init__(self, engine: AsyncEngine, redis: "Redis") -> None:
        self.engine = engine
        self.redis = redis

    async def fill(self, count: int, age: timedelta, *, calls_each: int = 2, status: str = "completed") -> list[UUID]:
        given = {"jobs": count, "age": age, "calls": calls_each, "status": status, "has_ended": status in TERMINAL}
        async with self.engine.connect() as connection:
            return list((await connection.execute(_FILL, given)).scalars())

    async def count(self, table: Table) -> int:
        async with self.engine.connect() as connection:
            counted: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            return counted

    async def job_ids(self) -> set[UUID]:
        async with self.engine.connect() as connection:
            return set((await connection.execute(text("SELECT id FROM jobs"))).scalars())

    async def prune(self, age: timedelta = DAY, *, batch: int = 100, stop_after: int | None = None) -> list[Removed]:
        """Remove in batches; with `stop_after`, as if interrupted after so many."""
        removed = []
        async with self.engine.connect() as connection:
            batches = remove_older(connection, self.redis, age, batch=batch, rest_seconds=0)
            async with aclosing(batches):
                async for one in batches:
                    removed.append(one)
                    if len(removed) == stop_after:
                        break
        return removed


@pytest.fixture
async def archive(postgres_url: str, redis_url: str) -> AsyncIterator[Archive]:
    engine = connect(postgres_url)
    async with Redis.from_url(redis_url) as redis:
        yield Archive(engine, redis)
    await engine.dispose()


async def test_only_what_ended_longer_ago_goes(archive: Archive) -> None:
    for status in TERMINAL:
        await archive.fill(1, 2 * DAY, status=status)
    kept = await archive.fill(1, DAY - timedelta(minutes=1))
    for status in ("queued", "running"):
        kept += await archive.fill(1, 1000 * DAY, status=status)
    assert await archive.prune() == [Removed(jobs=4, calls=8)]
    assert await archive.job_ids() == set(kept)


async def test_calls_go_with_their_jobs_and_usage_stays(archive: Archive) -> None:
    await archive.fill(3, 2 * DAY, calls_each=5)
    await archive.fill(1, timedelta(), calls_each=5)
    await archive.prune()
    assert (await archive.count(jobs), await archive.count(calls), await archive.count(usage)) == (1, 5, 20)


async def test_events_go_with_their_job(archive: Archive) -> None:
    [old], [new] = await archive.fill(1, 2 * DAY), await archive.fill(1, timedelta())
    for job_id in (old, new):
        await archive.redis.xadd(stream_key(job_id), {"e": "job.finished", "d": "{}"})
    await archive.prune()
    assert await archive.redis.keys("*") == [stream_key(new).encode()]


async def test_events_that_cannot_be_reached_stop_nothing(archive: Archive) -> None:
    await archive.fill(3, 2 * DAY)
    async with Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=1) as nobody:
        await Archive(archive.engine, nobody).prune()
    assert await archive.count(jobs) == 0


async def test_ten_thousand_jobs_go_in_batches_of_bounded_size_oldest_first(archive: Archive) -> None:
    old = await archive.fill(5_000, 3 * DAY, calls_each=1)
    await archive.fill(5_000, 2 * DAY, calls_each=1)
    first = await archive.prune(batch=500, stop_after=10)
    assert first == [Removed(jobs=500, calls=500)] * 10
    assert not set(old) & await archive.job_ids()
    assert await archive.prune(batch=500) == [*[Removed(jobs=500, calls=500)] * 10, Removed(jobs=0, calls=0)]


async def test_an_interrupted_removal_goes_on_where_it_stopped(archive: Archive) -> None:
    await archive.fill(250, 2 * DAY)
    assert [one.jobs for one in await archive.prune(stop_after=1)] == [100]
    assert await archive.count(jobs) == 150
    assert [one.jobs for one in await archive.prune()] == [100, 50]
    assert await archive.count(calls) == 0


async def test_two_removals_at_once_remove_each_job_once(archive: Archive) -> None:
    await archive.fill(2_000, 2 * DAY)
    both = await asyncio.gather(archive.prune(batch=50), archive.prune(batch=50))
    assert sum(one.jobs for removed in both for one in removed) == 2_000
    assert await archive.count(calls) == 0


async def test_a_removal_does_not_wait_for_another(archive: Archive) -> None:
    await archive.fill(100, 3 * DAY)
    await archive.fill(50, 2 * DAY)
    async with archive.engine.connect() as pooled:
        other = await pooled.execution_options(isolation_level="READ COMMITTED")
        async with other.begin() as transaction:
            statement = retention.remove_older(DAY, datetime.min.replace(tzinfo=UTC), 100)
            assert len((await other.execute(statement)).all()) == 100
            assert [one.jobs for one in await archive.prune()] == [50]
            await transaction.rollback()
    assert [one.jobs for one in await archive.prune()] == [100, 0]


async def test_counting_removes_nothing(archive: Archive) -> None:
    await archive.fill(3, 2 * DAY)
    await archive.fill(2, timedelta())
    async with archive.engine.connect() as connection:
        assert (await connection.execute(retention.count_older(DAY))).scalar() == 3
    assert await archive.count(jobs) == 5


async def test_of_many_workers_one_removes_and_all_can_be_next(archive: Archive) -> None:
    await archive.fill(300, 2 * DAY)
    workers = [Retention(archive.engine, archive.redis, keep_finished=DAY, batch=100) for _ in range(4)]
    assert sorted(await asyncio.gather(*(worker.once() for worker in workers))) == [0, 0, 0, 300]
    for worker in workers:
        await archive.fill(1, 2 * DAY)
        assert await worker.once() == 1


async def test_a_worker_that_stops_in_the_middle_leaves_the_rest_to_the_next(archive: Archive) -> None:
    await archive.fill(1_000, 2 * DAY)
    stopped = asyncio.create_task(Retention(archive.engine, archive.redis, keep_finished=DAY, batch=10).keep())
    async with asyncio.timeout(20):
        while await archive.count(jobs) == 1_000:  # noqa: ASYNC110  # the database has no event
            await asyncio.sleep(0.01)
    await end([stopped])
    left = await archive.count(jobs)
    assert 0 < left < 1_000
    next_one = Retention(archive.engine, archive.redis, keep_finished=DAY)
    async with asyncio.timeout(20):
        # Postgres may take a moment to notice that the other's session is gone
        while not (removed := await next_one.once()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert removed == left


async def test_what_is_removed_is_found_by_its_index(archive: Archive) -> None:
    await archive.fill(2_000, timedelta())
    await archive.fill(10, 2 * DAY)
    async with archive.engine.connect() as connection:
        await connection.execute(text("ANALYZE jobs"))
        compiled = retention.count_older(DAY).compile(dialect=archive.engine.dialect)
        plan = await connection.exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)
        assert "ix_jobs_finished" in "\n".join(plan.scalars())
