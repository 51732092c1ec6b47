"""Postgres as a witness: triggers note every step of every row, and a run is read back from there."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
from psycopg.rows import tuple_row
from redis.asyncio import Redis

from common.events import Once, stream_key
from tests.faults.history import Call, CallStep, History, Job, JobStep, Write

_INSTALL = """
CREATE TABLE audit_calls (
    seq bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), call_id uuid, before text, after text,
    attempt_before int, attempt_after int, worker text);
CREATE TABLE audit_jobs (
    seq bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id uuid, before text, after text,
    round_before int, round_after int);
CREATE FUNCTION audit_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_calls (call_id, before, after, attempt_before, attempt_after, worker)
    VALUES (NEW.id, OLD.status, NEW.status, coalesce(OLD.attempt, 0), NEW.attempt, NEW.worker);
    RETURN NULL;
END $$;
CREATE FUNCTION audit_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_jobs (job_id, before, after, round_before, round_after)
    VALUES (NEW.id, OLD.status, NEW.status, coalesce(OLD.round, 0), NEW.round);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_insert AFTER INSERT ON calls FOR EACH ROW EXECUTE FUNCTION audit_call();
CREATE TRIGGER audit_update AFTER UPDATE ON calls FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.attempt IS DISTINCT FROM NEW.attempt
          OR OLD.answer IS DISTINCT FROM NEW.answer) EXECUTE FUNCTION audit_call();
CREATE TRIGGER audit_insert AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION audit_job();
CREATE TRIGGER audit_update AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.round IS DISTINCT FROM NEW.round
          OR OLD.result::text IS DISTINCT FROM NEW.result::text) EXECUTE FUNCTION audit_job();
"""

_JOBS = """
SELECT id::text, status, round, jsonb_array_length(models), extract(epoch FROM created_at)::float8,
       extract(epoch FROM finished_at)::float8 FROM jobs
"""
_CALLS = """
SELECT id::text, job_id::text, round, position, model, status, attempt, answer -> 'error' ->> 'code',
       answer ->> 'served_by', extract(epoch FROM started_at)::float8, extract(epoch FROM finished_at)::float8,
       ARRAY(SELECT one ->> 'code' FROM jsonb_array_elements(coalesce(answer -> 'history', '[]')) AS one)
FROM calls
"""
_CALL_STEPS = """
SELECT extract(epoch FROM at)::float8, call_id::text, before, after, attempt_before, attempt_after, worker
FROM audit_calls ORDER BY seq
"""
_JOB_STEPS = """
SELECT extract(epoch FROM at)::float8, job_id::text, before, after, round_before, round_after
FROM audit_jobs ORDER BY seq
"""


async def install(url: str) -> None:
    """Have a migrated database note every step from now on."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_INSTALL)


async def read_database(url: str, history: History) -> None:
    """Add what Postgres holds and what the triggers noted."""
    async with await psycopg.AsyncConnection.connect(url, row_factory=tuple_row) as connection:
        jobs = [Job(*row) async for row in await connection.execute(_JOBS)]
        calls = [Call(*row[:-1], history=tuple(row[-1])) async for row in await connection.execute(_CALLS)]
        history.call_steps = [CallStep(*row) async for row in await connection.execute(_CALL_STEPS)]
        history.job_steps = [JobStep(*row) async for row in await connection.execute(_JOB_STEPS)]
    history.jobs = {job.id: job for job in jobs}
    history.calls = {call.id: call for call in calls}


def read_journals(directory: Path, history: History) -> None:
    """Add what the workers believe. A process that was killed may have left half a line."""
    writes, unknown = [], []
    for path in directory.glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if "unknown_job" in entry:
                unknown.append(entry["unknown_job"])
            else:
                writes.append(Write(entry["at"], entry["call"], entry["attempt"], entry["accepted"]))
    history.writes, history.unknown_jobs = writes, unknown


async def read_streams(url: str, history: History) -> None:
    """Add the event ids of every job that somebody watched, as Valkey still has them."""
    async with Redis.from_url(url) as client:
        watched = {reading.job_id for reading in history.readings}
        streams = {}
        for job_id in watched:
            entries = await client.xrange(stream_key(job_id))
            streams[job_id] = list(_until_the_end(entries))
    history.streams = streams


def _until_the_end(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[str]:
    """The ids up to the job's end: what comes after it, or comes again, is shown to nobody."""
    once = Once()
    for entry_id, fields in entries:
        if not once.is_new(fields.get(b"n", b"")):
            continue
        yield entry_id.decode()
        if fields[b"e"] == b"job.finished":
            return


async def live_jobs(url: str) -> int:
    """Jobs that have not ended; -1 while Postgres does not say."""
    try:
        async with await psycopg.AsyncConnection.connect(url, row_factory=tuple_row, connect_timeout=5) as connection:
            cursor = await connection.execute("SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')")
            row = await cursor.fetchone()
    except psycopg.Error:
        return -1
    return int(row[0]) if row else -1
