"""Lists by rare filters, over more jobs than a page looks at."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from common.contracts.jobs import JobStatus
from common.database import listing
from common.database.connect import connect
from common.database.tables import jobs as jobs_table

STATUSES: list[JobStatus] = ["queued", "running", "completed", "partial", "failed", "cancelled"]
# every tenth is another owner's; of every twenty one is of an odd kind, and one was asked of an odd model
_FILL = """
    INSERT INTO jobs (id, kind, owner, status, models, request)
    SELECT uuidv7(n * interval '1 second'), CASE n %% 20 WHEN 3 THEN 'odd' ELSE 'plain' END,
           CASE n %% 10 WHEN 0 THEN 'other' ELSE 'one' END, (%s::text[])[n %% 6 + 1],
           jsonb_build_array('{"id": "m"}'::jsonb, jsonb_build_object('id', CASE n %% 20 WHEN 4 THEN 'odd' END)), '{}'
    FROM generate_series(1, 120) AS n
"""


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(_FILL, [STATUSES])
    engine = connect(postgres_url, pool_size=1)
    yield engine
    await engine.dispose()


async def turn(
    engine: AsyncEngine, before: UUID | None, *, limit: int = 4, walk: int = 7, **filters: Any
) -> listing.Page:
    statement = listing.page(before=before, limit=limit, walk=walk, **{"owner": None, **filters})
    async with engine.connect() as connection:
        return listing.cut((await connection.execute(statement)).mappings().all(), limit)


async def all_ids(engine: AsyncEngine) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        rows = await connection.execute(jobs_table.select().order_by(jobs_table.c.id.desc()))
        return [dict(row) for row in rows.mappings()]


async def test_pages_of_every_filter_show_each_of_its_jobs_once_and_in_order(engine: AsyncEngine) -> None:
    jobs = await all_ids(engine)
    for owner, status, kind, model in product([None, "one"], [None, *STATUSES], [None, "odd"], [None, "m", "odd"]):
        seen: list[UUID] = []
        page = await turn(engine, None, owner=owner, status=status, kind=kind, model=model)
        turns = 1
        while page.end is not None:
            seen += [row["id"] for row in page.rows]
            page = await turn(engine, page.end, owner=owner, status=status, kind=kind, model=model)
            turns += 1
            assert turns < len(jobs)
        seen += [row["id"] for row in page.rows]
        assert seen == [
            job["id"]
            for job in jobs
            if owner in {None, job["owner"]} and status in {None, job["status"]} and kind in {None, job["kind"]}
            if model is None or {"id": model} in job["models"]
        ], (owner, status, kind, model)


async def test_a_page_looks_at_so_many_jobs_and_no_more(engine: AsyncEngine) -> None:
    jobs = await all_ids(engine)
    page = await turn(engine, None, kind="gone", walk=7)
    assert page == ([], jobs[6]["id"])
    assert await turn(engine, page.end, kind="gone", walk=200) == ([], None)


async def test_a_page_that_is_full_before_goes_on_from_its_last_job(engine: AsyncEngine) -> None:
    page = await turn(engine, None, model="m", walk=100)
    assert (len(page.rows), page.end) == (4, page.rows[-1]["id"])


async def test_of_a_status_that_few_have_a_page_is_full_whatever_lies_between(engine: AsyncEngine) -> None:
    page = await turn(engine, None, status="failed", limit=15, walk=1)
    assert (len(page.rows), page.end) == (15, page.rows[-1]["id"])
