"""`/run` and `/stop` as jobs: their rows follow their models."""

import asyncio
import time
from uuid import UUID

import pytest
from redis.asyncio import Redis

from common.events import stream_key
from common.ids import uuid7
from tests.integration.lifecycle.station import PATIENCE_SECONDS, Row, Station

pytestmark = pytest.mark.docker


async def submit(station: Station, kind: str, model: str) -> UUID:
    """The row as the API writes it."""
    job_id = uuid7()
    await station.sql(
        "INSERT INTO jobs (id, kind, status, models, request) VALUES (:id, :kind, 'queued',"
        " jsonb_build_array(jsonb_build_object('asked', CAST(:m AS text), 'id', CAST(:m AS text))),"
        " jsonb_build_object('model_id', CAST(:m AS text)))",
        id=job_id,
        kind=kind,
        m=model,
    )
    return job_id


async def ended(station: Station, job_id: UUID) -> Row:
    """The job's row when it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        [row] = await station.sql("SELECT * FROM jobs WHERE id = :id", id=job_id)
        if row["finished_at"] is not None:
            return row
        assert time.monotonic() < deadline, station.logs()
        await asyncio.sleep(0.05)


async def events(redis_url: str, job_id: UUID) -> list[str]:
    """The names of its events once the last is there: it leaves after the row is written."""
    told: list[str] = []
    async with asyncio.timeout(PATIENCE_SECONDS), Redis.from_url(redis_url) as redis:
        while "job.finished" not in told:
            told = [fields[b"e"].decode() for _, fields in await redis.xrange(stream_key(job_id))]
            await asyncio.sleep(0.01)
    return told


async def test_a_run_ends_when_its_model_is_ready_and_tells_of_the_way_there(station: Station, redis_url: str) -> None:
    model = station.has("a", environment={"LOAD_SECONDS": "1"})
    station.start_worker()
    run = await submit(station, "model_run", model)
    await station.want(model)
    row = await ended(station, run)
    assert row["status"] == "completed"
    assert row["result"] == {"model_id": model, "state": "ready", "node": "test-node", "generation": 1}
    assert row["started_at"] is not None
    assert (await station.look(model))["is_ready"]
    told = await events(redis_url, run)
    assert set(told[:-1]) == {"job.status"}
    assert told[-1] == "job.finished"


async def test_a_run_of_a_model_that_cannot_start_fails_with_its_reason(station: Station) -> None:
    model = station.has("a", environment={"FATAL": "model_missing 3"})
    station.start_worker()
    run = await submit(station, "model_run", model)
    await station.want(model)
    row = await ended(station, run)
    assert row["status"] == "failed"
    assert row["error"] == {"code": "model_missing", "message": "scripted to fail with model_missing"}


async def test_a_stop_ends_when_the_container_is_gone(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    await station.ready(model)
    stop = await submit(station, "model_stop", model)
    await station.unwant(model)
    row = await ended(station, stop)
    assert row["status"] == "completed"
    assert row["result"]["state"] == "stopped"
    assert await station.containers(model) == []
