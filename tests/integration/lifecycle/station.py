"""A node: real lifecycle workers over a real database, broker and engine, with runners that do what a test says."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import yaml
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.doorbell import producer_app, send_reconcile
from common.fleet import wishes
from common.fleet.statements import INSTALLATION
from worker.lifecycle.container import Container
from worker.lifecycle.docker_engine import DockerEngine

ULTRA = Path(sys.executable).parent / "ultra"
NODE = "test-node"
# Longer than anything here takes on a loaded machine; only a failure waits for it.
PATIENCE_SECONDS = 60
# Has a call go on until the station releases it, so that what is to happen meanwhile may take its time.
HELD = "HELD"

Row = dict[str, Any]


class Station:
    """Starts and ends lifecycle workers, asks for models, and looks at what became of that."""

    def __init__(self, engine: AsyncEngine, docker: DockerEngine, redis_url: str, image: str, folder: Path) -> None:
        self.docker = docker
        self._engine = engine
        self.image = image
        self._folder = folder
        self._models: dict[str, Any] = {"mock-a": {}}
        self._workers: list[subprocess.Popen[bytes]] = []
        self._producer = producer_app(redis_url)
        (folder / "weights").mkdir()
        (folder / "weights" / "model").touch()
        self._environment = os.environ | {
            "DATABASE_URL": engine.url.set(drivername="postgresql").render_as_string(hide_password=False),
            "REDIS_URL": redis_url,
            "ULTRA_MODELS_PATH": str(folder / "models.yaml"),
            "ULTRA_WEIGHTS_PATH": str(folder / "weights"),
            "ULTRA_MODEL_MEMORY_MIB": "4096",
            "ULTRA_RECONCILE_SECONDS": "0.5",
            "GPU_ENABLED": "false",
        }

    def has(self, model: str, *, environment: dict[str, str] | None = None, **fields: Any) -> str:
        """Put a model into the catalog; returns its id."""
        model_id = f"local-{model}"
        entry = {
            "source": {"path": "model"},
            "engine": "transformers",
            "image": self.image,
            "memory": "128 MiB",
            "load_seconds": 30,
            "drain_seconds": PATIENCE_SECONDS,
            "environment": {f"SCRIPT_{name}": value for name, value in (environment or {}).items()},
        }
        self._models[model_id] = entry | fields
        catalog = {"defaults": {"models": ["mock-a"]}, "models": self._models}
        replacement = self._folder / "models.new"
        replacement.write_text(yaml.safe_dump(catalog))
        replacement.rename(self._folder / "models.yaml")
        return model_id

    def release(self) -> None:
        """Let the calls that are held end, and those that would be."""
        (self._folder / "weights" / "model").write_text("released")

    def start_worker(
        self,
        node: str = NODE,
        *options: str,
        program: Sequence[str | Path] = (ULTRA, "worker", "lifecycle"),
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        log = self._folder / f"worker-{len(self._workers)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*program, "--node", node, *options],
                env=self._environment | environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        self._workers.append(process)
        return process

    async def looked_after(self) -> None:
        """Returns when a worker has said that it lives: who asks before may be told that nobody is there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not await self.sql("SELECT name FROM nodes"):
            assert time.monotonic() < deadline, self.logs()
            await asyncio.sleep(0.1)

    def stop_workers(self) -> None:
        for process in self._workers:
            if process.poll() is None:
                process.terminate()
        for process in self._workers:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self._folder.glob("worker-*.log")))

    async def want(self, model: str, *, node: str = NODE) -> None:
        await self._execute(wishes.want(model))
        await asyncio.to_thread(send_reconcile, self._producer, model, [node])

    async def unwant(self, model: str, **how: Any) -> None:
        await self._execute(wishes.unwant(model, **how))
        await asyncio.to_thread(send_reconcile, self._producer, model, [NODE])

    async def look(self, model: str) -> Row:
        """The model's row with its instance's; what nobody asked for is stopped."""
        rows = await self._execute(wishes.look([model]))
        return rows[0] if rows else {"state": "stopped", "is_ready": False, "generation": 0}

    async def until(self, model: str, is_so: Callable[[Row], Any], seconds: float = PATIENCE_SECONDS) -> Row:
        """The row once it `is_so`; fails with the last one, the history and the log when patience ends."""
        deadline = time.monotonic() + seconds
        while not is_so(row := await self.look(model)):
            if time.monotonic() > deadline:
                raise AssertionError(f"still not so: {row}\n{await self.history(model)}\n{self.logs()}")
            await asyncio.sleep(0.05)
        return row

    async def ready(self, model: str) -> Row:
        """Ask for it; its row when it is ready."""
        await self.want(model)
        return await self.until(model, is_ready)

    async def gone(self, model: str) -> Row:
        """Its row when it has stopped and no container of it is left."""
        row = await self.until(model, lambda row: row["state"] == "stopped")
        assert await self.containers(model) == []
        return row

    async def left(self, container: str) -> None:
        """Returns when the container is no more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while container in [one.id for one in await self.containers()]:
            assert time.monotonic() < deadline, self.logs()
            await asyncio.sleep(0.1)

    async def containers(self, model: str | None = None) -> list[Container]:
        found = await self.docker.ours(await self.installation())
        return [one for one in found if model is None or one.labels.get("ultra.model") == model]

    async def install(self) -> str:
        """Its id before there is a worker: one that finds a container between its making and its start removes it."""
        return str((await self._execute(INSTALLATION))[0]["id"])

    async def installation(self) -> str:
        rows = await self.sql("SELECT id FROM installation")
        return str(rows[0]["id"]) if rows else str(UUID(int=0))

    async def history(self, model: str) -> list[Row]:
        """What happened to it, the oldest first."""
        return await self.sql("SELECT kind, generation, detail FROM model_events WHERE model = :m ORDER BY id", m=model)

    async def kinds(self, model: str) -> list[str]:
        return [row["kind"] for row in await self.history(model)]

    async def sql(self, statement: str, **values: Any) -> list[Row]:
        return await self._execute(text(statement).bindparams(**values))

    async def _execute(self, statement: Any) -> list[Row]:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []


def is_ready(row: Row) -> bool:
    return bool(row["is_ready"])


def is_busy(row: Row) -> bool:
    """Whether its runner says that it works; one that was slow to answer said nothing."""
    return bool(row["health"] and row["health"]["in_flight"])


def is_draining(row: Row) -> bool:
    return bool(row["state"] == "draining")


async def ask(row: Row, path: str = "/inference", **body: Any) -> tuple[int, Any]:
    """What the runner of a ready model answers: status and document."""
    return await asyncio.to_thread(_ask, f"{row['base_url']}{path}", body)


def _ask(url: str, body: dict[str, Any]) -> tuple[int, Any]:
    import httpx

    try:
        answer = httpx.post(url, json=body, timeout=PATIENCE_SECONDS)
    except httpx.TransportError as error:
        return 0, type(error).__name__
    return answer.status_code, orjson.loads(answer.content)


def kill(process: subprocess.Popen[bytes]) -> None:
    """As the kernel does it."""
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def docker(*arguments: str) -> Sequence[str]:
    """Runs the command; returns the words that it writes."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.split()
