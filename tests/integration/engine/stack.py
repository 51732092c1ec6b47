"""Real worker processes over a real database and broker, and the little that a test says to them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from common.contracts.analyses import Analysis, AnalysisOptions, AskedModel
from common.contracts.calls import Routing
from common.database import jobs
from common.doorbell import CONTROL_QUEUE, producer_app, send_advance
from common.ids import uuid7

ULTRA = Path(sys.executable).parent / "ultra"
# Longer than anything here takes on a loaded machine; only a failure waits for it.
PATIENCE_SECONDS = 60
# For who dies or stands still with a call. Nobody else may seem dead because the machine stood still.
SHORT_LEASE = {"ULTRA_LEASE_SECONDS": "2"}


class Workers:
    """Starts `ultra worker` processes, and ends those that a test leaves."""

    def __init__(self, postgres_url: str, redis_url: str, log_directory: Path) -> None:
        self._environment = os.environ | {
            "DATABASE_URL": postgres_url,
            "REDIS_URL": redis_url,
            "ULTRA_LEASE_SECONDS": "60",
            "ULTRA_SWEEP_SECONDS": "0.2",
            "ULTRA_PUBLISH_GRACE_SECONDS": "1",
            "ULTRA_DRAIN_SECONDS": "0.5",
        }
        self._log_directory = log_directory
        self.concurrency = 32
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, kind: str = "worker", *, program: Sequence[str | Path] = (ULTRA, "worker"), **environment: str
    ) -> subprocess.Popen[bytes]:
        log = self._log_directory / f"worker-{len(self._started)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*program, kind, "--concurrency", str(self.concurrency)],
                env=self._environment | environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self._log_directory.glob("worker-*.log")))

    def stop_all(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


@contextmanager
def workers(postgres_url: str, redis_url: str, log_directory: Path) -> Iterator[Workers]:
    running = Workers(postgres_url, redis_url, log_directory)
    try:
        yield running
    finally:
        running.stop_all()


class Desk:
    """What the API does, without HTTP: commit a job, ring, look."""

    def __init__(self, engine: AsyncEngine, redis_url: str) -> None:
        self.engine = engine
        self._app = producer_app(redis_url)

    async def submit(
        self,
        *models: str,
        kind: str = "comparative",
        ring: bool = True,
        queue: str = CONTROL_QUEUE,
        owner: str = "",
        **options: Any,
    ) -> UUID:
        """The committed job; one that is not rung for waits in its owner's backlog."""
        job_id = uuid7()
        asked = tuple(AskedModel(asked=model, id=model) for model in models)
        request = Analysis(
            prompt="Why is the sky blue?",
            analysis_type=kind,
            models=asked,
            lead_model=options.pop("lead_model", models[0]),
            output_format="text",
            options=AnalysisOptions(**options),
            routing=Routing(cache=options.get("cache", False)),
            seed=str(job_id),
        )
        row = {
            "id": str(job_id),
            "kind": kind,
            "owner": owner,
            "models": [model.model_dump() for model in asked],
            "request": request.model_dump(mode="json"),
            "waits": not ring,
        }
        await self.execute(jobs.insert([row], timedelta(seconds=1)))
        if ring:
            await asyncio.to_thread(send_advance, self._app, [str(job_id)], queue=queue)
        return job_id

    async def execute(self, statement: Any) -> list[RowMapping]:
        async with self.engine.connect() as connection:
            result = await connection.execute(statement)
            return list(result.mappings()) if result.returns_rows else []

    async def job(self, job_id: UUID) -> RowMapping:
        [row] = await self.execute(jobs.with_calls([job_id]))
        return row

    async def ended(self, job_id: UUID) -> RowMapping:
        return await self.until(job_id, lambda row: row["finished_at"] is not None)

    async def until(self, job_id: UUID, is_so: Callable[[RowMapping], bool]) -> RowMapping:
        """The job once `is_so`; fails with its last state when patience ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so(row := await self.job(job_id)):
            assert time.monotonic() < deadline, f"still not so: {dict(row)}"
            await asyncio.sleep(0.05)
        return row

    async def sql(self, statement: str, **values: Any) -> list[RowMapping]:
        return await self.execute(text(statement).bindparams(**values))


def is_running(row: RowMapping) -> bool:
    return any(call["status"] == "running" for call in row["calls"] or [])


def are_all_running(row: RowMapping) -> bool:
    return bool(row["calls"]) and all(call["status"] == "running" for call in row["calls"])


def is_alone_at_attempt(number: int, row: RowMapping) -> bool:
    """Whether all calls but one are done, and that one is being made for this time."""
    live = [call for call in row["calls"] or [] if call["status"] in ("queued", "running")]
    return [(call["status"], call["attempt"]) for call in live] == [("running", number)]
