"""A million finished jobs beside a thousand: looking, submitting, and the statements of a job's life.

Two databases on one Postgres and an API on each, asked in turn, one request each. No worker runs: submissions
wait, and the statements that workers make are made here, one call at a time. Then `ultra prune` removes a part of
the million while this process goes on polling.
"""

import asyncio
import math
import os
import random
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from rich.progress import Progress
from sqlalchemy import Executable, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from api.cursors import encode_cursor
from benchmarks.figures import Figure
from benchmarks.ours_system import ULTRA, ultra
from benchmarks.processes import Processes, free_port
from benchmarks.systems import PROMPT, ZERO_MODELS, until
from benchmarks.wire import Connection, encode
from cli.embedded.stack import Stack
from common.database import calls, jobs
from common.database.connect import connect
from common.ids import uuid7

FEW = 1_000
RATIO_TARGET = 1.2
PROBE_PAUSE_SECONDS = 0.005
LEASE = GRACE = timedelta(seconds=60)
# A job every two seconds until now, with one call: about 1 KB each, as short answers make them. One in a hundred
# failed. The rows of both tables lie in the order of their times, as they do when they are written one by one.
_FILL = (
    """
    INSERT INTO jobs (id, kind, status, models, request, round, total, result, text,
                      created_at, started_at, finished_at)
    SELECT uuidv7(age), 'comparative', CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'completed' END, models,
           jsonb_build_object('prompt', repeat('Why is the sky blue? ', 10), 'analysis_type', 'comparative',
                              'models', models, 'output_format', 'json'),
           1, 1, json_build_object('summary', repeat('word ', 60)), repeat('word ', 60),
           now() + age, now() + age, now() + age
    FROM (SELECT n, (n - %(jobs)s) * interval '2 seconds' AS age,
                 jsonb_build_array(jsonb_build_object('asked', 'mock-a', 'id', 'mock-a')) AS models
          FROM generate_series(1, %(jobs)s) AS n) AS made
    """,
    """
    INSERT INTO calls (id, job_id, round, position, model, queue, fingerprint, request, status, attempt, answer,
                       started_at, finished_at)
    SELECT uuidv7(), id, 0, 0, 'mock-a', 'cloud', md5(id::text), request::json, status, 1,
           jsonb_build_object('model', 'mock-a', 'status', status, 'text', repeat('word ', 60), 'attempts', 1),
           started_at, finished_at
    FROM jobs ORDER BY id
    """,
    # what autovacuum has done by the time that so many have come together
    "VACUUM (ANALYZE) jobs",
    "VACUUM (ANALYZE) calls",
)


@dataclass(slots=True)
class Side:
    """One of the two databases, its API, and what was measured there in seconds."""

    finished_jobs: int
    database_url: str
    port: int
    connection: Connection
    engine: AsyncEngine
    job_ids: list[Any]

    async def get(self, path: str) -> float:
        return await self._seconds(encode("GET", path), 200)

    async def post(self, path: str, body: bytes) -> float:
        return await self._seconds(encode("POST", path, body), 202)

    async def execute(self, statement: Executable) -> tuple[float, list[Any]]:
        """Seconds and rows."""
        async with self.engine.connect() as connection:
            began = time.perf_counter()
            rows = (await connection.execute(statement)).all()
            return time.perf_counter() - began, list(rows)

    async def _seconds(self, raw: bytes, expected: int) -> float:
        began = time.perf_counter()
        response = await self.connection.request(raw)
        if response.status != expected:
            raise RuntimeError(f"answered {response.status}: {response.body[:200]!r}")
        return time.perf_counter() - began


Look = Callable[[Side], Awaitable[dict[str, float]]]


async def _list(side: Side) -> dict[str, float]:
    deep = encode_cursor(random.choice(side.job_ids))
    return {
        "first page of the list": await side.get("/api/analyses?limit=20"),
        "a page anywhere in it, by cursor": await side.get(f"/api/analyses?limit=20&cursor={deep}"),
        "first page of the failed ones": await side.get("/api/analyses?limit=5&status=failed"),
    }


async def _poll(side: Side) -> dict[str, float]:
    return {"poll of any job": await side.get(f"/api/analysis/{random.choice(side.job_ids)}")}


async def _submit(side: Side) -> dict[str, float]:
    body = orjson.dumps({"prompt": PROMPT, "models": ZERO_MODELS})
    return {"submission": await side.post("/api/analyze", body)}


async def _work(side: Side) -> dict[str, float]:
    """A job of one call from its insert to its end, by the statements of the engine."""
    job_id, call_id = str(uuid7()), uuid7()
    job = {"id": job_id, "kind": "comparative", "owner": "bench", "models": [], "request": {}, "waits": False}
    await side.execute(jobs.insert([job], GRACE))
    call = {
        "id": str(call_id), "job_id": job_id, "round": 0, "position": 0, "model": "mock-a", "queue": "cloud",
        "fingerprint": "f", "request": {},
    }  # fmt: skip
    answer = {"model": "mock-a", "status": "completed", "text": "word " * 60}
    begun, _ = await side.execute(jobs.begin_rounds([call], GRACE))
    claimed, [row] = await side.execute(calls.claim([call_id], "bench", LEASE))
    ending = {"id": str(call_id), "attempt": row.attempt, "status": "completed", "answer": answer}
    finished, _ = await side.execute(calls.finish([ending], GRACE))
    end = {"id": job_id, "round": 1, "status": "completed", "result": answer, "text": "", "error": None}
    ended, [[_, has_ended]] = await side.execute(jobs.finish([end]))
    if not has_ended:
        raise RuntimeError("a job did not end")
    return {
        "claim of a call": claimed,
        "result of a call": finished,
        "begin and end of a job": begun + ended,
    }


# in rounds of so many
LOOKS: list[tuple[Look, int]] = [(_list, 100), (_poll, 300), (_submit, 100), (_work, 100)]


def figures(scratch: Path, rounds: int, many: int, progress: Progress) -> list[Figure]:
    """Both databases filled, measured, and one of them pruned; what they held goes with the scratch directory."""
    scratch.mkdir()
    with Stack(scratch / "servers", only=("postgres", "valkey")) as servers:
        return asyncio.run(_measured(scratch, servers, rounds, many, progress))


async def _measured(scratch: Path, servers: Stack, rounds: int, many: int, progress: Progress) -> list[Figure]:
    step = progress.add_task("history", total=rounds + 3)
    processes = Processes(scratch)
    try:
        async with _side(FEW, processes, servers) as few, _side(many, processes, servers) as more:
            progress.advance(step, 2)
            found: dict[str, tuple[list[float], list[float], list[float]]] = {}
            await _round([few, more])  # imports, pools, prepared statements
            for _ in range(rounds):
                for name, (small, big) in (await _round([few, more])).items():
                    ratios, usual, seconds = found.setdefault(name, ([], [], []))
                    ratios.append(statistics.median(big) / statistics.median(small))
                    usual += small
                    seconds += big
                progress.advance(step)
            shown = [line for name, taken in found.items() for line in _lines(name, many, *taken)]
            shown += await _pruning(more, servers, many)
            progress.advance(step)
            return shown
    finally:
        processes.stop()


async def _round(sides: list[Side]) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of everything, of the first and of the second side."""
    taken: dict[str, tuple[list[float], list[float]]] = {}
    for look, count in LOOKS:
        for number in range(count):
            # each begins as often as the other: who comes second finds Postgres' processes awake
            for place in (0, 1) if number % 2 else (1, 0):
                for name, seconds in (await look(sides[place])).items():
                    taken.setdefault(name, ([], []))[place].append(seconds)
    return taken


def _lines(name: str, many: int, ratios: list[float], usual: list[float], seconds: list[float]) -> Iterable[Figure]:
    milliseconds = [1000 * one for one in seconds]
    yield Figure(f"history: {name}, {many:,} finished jobs to {FEW:,}", "x", "lower", limit=RATIO_TARGET, ours=ratios)
    yield Figure(f"… with {many:,}", "ms", "lower", ours=[statistics.median(milliseconds)])
    yield Figure(f"… p99; with {FEW:,} {1000 * _p99(usual):.3g} ms", "ms", "lower", ours=[_p99(milliseconds)])


async def _pruning(side: Side, servers: Stack, many: int) -> list[Figure]:
    """The oldest tenth goes by `ultra prune`, while somebody polls the newest."""
    oldest = timedelta(seconds=2 * many)
    age = f"{round(0.9 * oldest / timedelta(minutes=1))}m"
    environment = {**os.environ, **servers.settings, "DATABASE_URL": side.database_url}
    path = f"/api/analysis/{max(side.job_ids)}"
    taken: list[float] = []
    command = [*ULTRA, "prune", "--older-than", age, "--json"]
    began = time.perf_counter()
    pruning = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)
    told = asyncio.create_task(pruning.communicate())
    while not told.done():
        taken.append(await side.get(path))
        await asyncio.sleep(PROBE_PAUSE_SECONDS)
    seconds = time.perf_counter() - began
    output, _ = await told
    if pruning.returncode != 0:
        raise RuntimeError(f"ultra prune ended with {pruning.returncode}")
    removed = orjson.loads(output)["jobs"]
    return [
        Figure(f"history: {removed:,} jobs pruned, with their calls", "a second", "higher", ours=[removed / seconds]),
        Figure("… poll of a job meanwhile, p99", "ms", "lower", ours=[1000 * _p99(taken)]),
    ]


@asynccontextmanager
async def _side(finished_jobs: int, processes: Processes, servers: Stack) -> AsyncIterator[Side]:
    name = f"history_{finished_jobs}"
    server = servers.settings["DATABASE_URL"]
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    port = free_port()
    job_ids = await asyncio.to_thread(_filled, server, url, name, finished_jobs)
    environment = {**servers.settings, "DATABASE_URL": url}
    processes.start(name, [*ULTRA, "serve", "--host", "127.0.0.1", "--port", str(port)], environment)
    await asyncio.to_thread(until, lambda: processes.are_up(port), "the API listens")
    engine = connect(url, pool_size=1)
    try:
        async with Connection(port) as connection:
            yield Side(finished_jobs, url, port, connection, engine, job_ids)
    finally:
        await engine.dispose()


def _filled(server: str, url: str, name: str, finished_jobs: int) -> list[Any]:
    """Make the database; returns up to 5,000 of its jobs, taken from everywhere."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    ultra({"DATABASE_URL": url}, "migrate")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _FILL:
            connection.execute(statement, {"jobs": finished_jobs} if "%(" in statement else None)
        rows = connection.execute("SELECT id FROM jobs ORDER BY random() LIMIT 5000")
        return [job_id for (job_id,) in rows]


def _p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]
