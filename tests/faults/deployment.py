"""A whole deployment on real processes: Postgres, Valkey, a model server, workers of each kind, the API."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from benchmarks.wire import Connection, encode, is_listening
from cli.embedded.ports import free_port
from tests.faults import audit
from tests.faults.processes import WITH_US, Process
from tests.faults.servers import Postgres, Valkey

START_SECONDS = 60.0
# The group that workers run as, so that the packet filter knows theirs from all others.
WORKERS_GROUP = 54_321
AS_WORKER = (*WITH_US[:-1], f"--regid={WORKERS_GROUP}", "--keep-groups", "--") if os.geteuid() == 0 else WITH_US
CATALOG = """\
defaults: {{models: [steady-a]}}
servers:
  steady: {{base_url: http://127.0.0.1:{port}/v1}}
  near: {{base_url: http://127.0.0.1:{port}/v1, local: true}}
  faulty: {{base_url: http://127.0.0.1:{port}/v1}}
models:
  steady-a: &model
    capabilities: [chat, json_schema]
    price: &free {{prompt_usd_per_million: 0, completion_usd_per_million: 0}}
  steady-b: *model
  steady-c: *model
  steady-d: *model
  near-d: *model
  faulty-poison: *model
  faulty-hang: &faulty {{fallbacks: [steady-a], price: *free}}
  faulty-reset: *faulty
  faulty-trickle: *faulty
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is deployed. `latency` is the model server's, shortest and longest, in seconds."""

    workers: Mapping[str, int] = field(default_factory=lambda: {"control": 2, "cloud": 3, "local": 1})
    latency: tuple[float, float] = (5.0, 7.0)
    environment: Mapping[str, str] = field(default_factory=dict)
    postgres_home: Path | None = None
    valkey_home: Path | None = None


class Worker(Process):
    """A worker process. `record_name` is what the calls it holds are marked with."""

    def __init__(
        self, kind: str, node: str, log: Path, environment: Mapping[str, str], prefix: tuple[str, ...]
    ) -> None:
        # waiting for a server costs nothing: no call should wait for a thread
        command = [sys.executable, "-P", "-m", "tests.faults.subject", "worker", kind, "--name", node]
        threads = [] if kind == "control" else ["--threads", "1000"]
        super().__init__(
            f"{kind}-{node}", [*command, *threads], log, environment=environment, prefix=(*AS_WORKER, *prefix)
        )
        self.kind = kind
        self._node = node

    @property
    def record_name(self) -> str:
        return f"{self.kind}.{self.pid}@{self._node}"


class Deployment:
    """Started by `async with`, in a directory of its own; stopped whatever happens."""

    def __init__(self, directory: Path, shape: Shape, sabotage: str | None = None) -> None:
        self.directory = directory
        self.shape = shape
        for name in ("logs", "traps", "journal"):
            (directory / name).mkdir(parents=True)
        self._logs = directory / "logs"
        self.postgres = Postgres(shape.postgres_home or directory / "pg", self._logs)
        self.valkey = Valkey(shape.valkey_home or directory / "vk", self._logs)
        self.upstream_port, self.api_port = free_port(), free_port()
        catalog = directory / "models.yaml"
        catalog.write_text(CATALOG.format(port=self.upstream_port))
        self.environment = {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "ULTRA_MODELS_PATH": str(catalog),
            "ENABLE_MODEL_RUNNER": "false",
            "USE_LOCAL_MODELS_WHEN_OFFLINE": "false",
            "FAULTS_DIRECTORY": str(directory),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            **({"FAULTS_SABOTAGE": sabotage} if sabotage else {}),
            **shape.environment,
        }
        python = [sys.executable, "-P", "-m"]
        latency = [str(seconds) for seconds in shape.latency]
        self.upstream = Process(
            "upstream",
            [*python, "tests.faults.upstream", str(self.upstream_port), "--seconds", *latency],
            self._logs / "upstream.log",
            environment=self.environment,
        )
        self.api = Process(
            "api",
            [*python, "tests.faults.subject", "api", "--port", str(self.api_port)],
            self._logs / "api.log",
            environment=self.environment,
        )
        self.workers = [
            self.worker(kind, f"n{number}") for kind, count in shape.workers.items() for number in range(count)
        ]
        self._started: AsyncExitStack = AsyncExitStack()

    def worker(self, kind: str, node: str, prefix: tuple[str, ...] = ()) -> Worker:
        """One more worker, not started yet. A prefix is put before its command."""
        return Worker(kind, node, self._logs / f"{kind}-{node}.log", self.environment, prefix)

    def workers_of(self, *kinds: str) -> list[Worker]:
        return [worker for worker in self.workers if worker.kind in kinds]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._started.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    async def _start(self) -> None:
        for server in (self.postgres, self.valkey):
            self._started.push_async_callback(server.process.stop)
            await server.start()
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-P", "-m", "cli", "migrate"],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
        )
        await audit.install(self.postgres.url)
        for process in (self.upstream, *self.workers, self.api):
            self._started.push_async_callback(process.stop)
            await process.start()
        async with asyncio.timeout(START_SECONDS):
            await self.listening(self.upstream_port)
            await self.counts()  # it is ours, and not somebody who was faster to take the port
            await self.listening(self.api_port)
            while not await self._has_workers():
                await asyncio.sleep(0.1)

    async def listening(self, port: int) -> None:
        while not is_listening(port):
            await asyncio.sleep(0.05)

    async def get(self, path: str, port: int | None = None) -> tuple[int, bytes]:
        async with asyncio.timeout(10), Connection(port or self.api_port) as connection:
            response = await connection.request(encode("GET", path))
        return response.status, response.body

    async def counts(self) -> dict[str, int]:
        """What the model server counted."""
        _, body = await self.get("/counts", self.upstream_port)
        counts: dict[str, int] = orjson.loads(body)
        return counts

    async def _has_workers(self) -> bool:
        _, body = await self.get("/health")
        found = orjson.loads(body)["checks"]["workers"]
        return all(found.get(kind, 0) >= count for kind, count in self.shape.workers.items())
