"""Ours, put together as `ultra up` does: the API and one worker process of each kind, with their defaults."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import orjson
import psycopg
import redis

from benchmarks.processes import Processes, free_port
from benchmarks.systems import PROMPT, until
from common.lanes import Lane, queue_key

ULTRA = (sys.executable, "-P", "-m", "cli")
WORKER_KINDS = ("control", "cloud", "local")
SETUP_SECONDS = 60

_FINISHED = """
    SELECT j.id::text, extract(epoch FROM j.finished_at)::float8, j.status,
           (SELECT count(*) FROM calls c WHERE c.job_id = j.id AND c.answer IS NOT NULL)
    FROM jobs j WHERE j.id = ANY(%s::uuid[]) AND j.finished_at IS NOT NULL
"""


def ultra(environment: Mapping[str, str], *arguments: str) -> str:
    """What a command of ours prints. Raises RuntimeError with what it complains of."""
    done = subprocess.run(
        [*ULTRA, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SETUP_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ultra {arguments[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout


class OursSystem:
    """`environment` overrides settings, for tests."""

    name = "ours"
    submit_path = "/api/analyze"

    def __init__(
        self, log_dir: Path, database_url: str, redis_url: str, environment: dict[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.processes = Processes(log_dir)
        self._environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **(environment or {})}
        self.database_url = database_url
        self._redis = redis.Redis.from_url(redis_url)

    def start(self) -> None:
        for kind in WORKER_KINDS:
            self.processes.start(f"ours-{kind}", [*ULTRA, "worker", kind, "--name", "bench"], self._environment)
        serve = ["serve", "--host", "127.0.0.1", "--port", str(self.port)]
        self.processes.start("ours-api", [*ULTRA, *serve], self._environment)
        until(lambda: self.processes.are_up(self.port), "our API listens")

    def body(self, models: Sequence[str], *, is_merged: bool) -> str:
        analysis = {"prompt": PROMPT, "models": models, "options": {"merge": is_merged}}
        return orjson.dumps(analysis).decode()

    def show_path(self, comparison_id: str) -> str:
        return f"/api/analysis/{comparison_id}"

    def is_finished(self, document: dict[str, object]) -> bool:
        return document["status"] not in {"queued", "running"}

    def finished_at(self, ids: Sequence[str]) -> dict[str, float]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            rows = connection.execute(_FINISHED, [list(ids)]).fetchall()
        for id_, _, status, answers in rows:
            if status != "completed" or answers != 5:
                raise RuntimeError(f"our comparison {id_} went wrong: {status}, {answers} answers")
        return {id_: finished_at for id_, finished_at, _, _ in rows}

    def purge(self) -> None:
        """Empty the tables, then the queues; what a worker holds finds nothing and ends."""
        self._truncate()
        self._redis.delete(*(queue_key(queue, lane) for queue in WORKER_KINDS for lane in Lane))
        until(lambda: self._redis.hlen("unacked") == 0, "our workers are idle")
        self._truncate()
        # bindings and presence stay: the running processes wrote them once and count on them
        kept = (b"_kombu.", b"ultra:worker")
        doomed = [key for key in self._redis.scan_iter(count=5000) if not key.startswith(kept)]
        for start in range(0, len(doomed), 5000):
            self._redis.unlink(*doomed[start : start + 5000])

    def _truncate(self) -> None:
        # statements in flight hold their locks for milliseconds, yet in an order that can cross ours
        for _ in range(10):
            with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                with psycopg.connect(self.database_url, autocommit=True) as connection:
                    connection.execute("TRUNCATE jobs CASCADE")
                return
            time.sleep(0.1)
        raise TimeoutError("the tables could not be emptied: always in a deadlock")
