"""Postgres and Valkey of one deployment: durable as in production, reached by TCP so that packets can be lost."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import psycopg
from redis.asyncio import Redis

from cli.embedded.datadir import DataDir
from cli.embedded.part import Part
from cli.embedded.ports import free_port
from cli.embedded.postgres import DATABASE, ROLE, postgres_parts, prepare_postgres
from cli.embedded.valkey import valkey_part, valkey_url
from tests.faults.processes import Process

MAX_CONNECTIONS = 200
READY_SECONDS = 60.0


class Postgres:
    """`home` may lie on a small file system, for it to run full."""

    def __init__(self, home: Path, logs: Path) -> None:
        data = _data(home)
        self._files = prepare_postgres(data)
        password, self.port = data.secret("postgres"), free_port()
        *first, server = postgres_parts(self._files, password, MAX_CONNECTIONS)
        self._initdb: list[Part] = first
        self.url = f"postgresql://{ROLE}:{password}@127.0.0.1:{self.port}/{DATABASE}"
        listening = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", "-c", "max_wal_size=80MB"]
        self.process = Process(
            "postgres",
            [*server.command, *listening, "-c", "min_wal_size=32MB"],
            logs / "postgres.log",
            directory=self._files.home,
            prefix=server.account.command_prefix("SIGQUIT") if server.account else (),
            stop_signal=signal.SIGINT,
        )

    @property
    def directory(self) -> Path:
        return self._files.home

    async def start(self) -> None:
        for step in self._initdb:
            prefix = step.account.command_prefix("SIGKILL") if step.account else ()
            await asyncio.to_thread(
                subprocess.run,
                [*prefix, *step.command],
                env={**os.environ, **step.environment},
                cwd=step.directory,
                check=True,
                capture_output=True,
            )
        self._initdb = []
        await self.process.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it answers a query."""
        async with asyncio.timeout(READY_SECONDS):
            while not await self._answers():
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(self.url, connect_timeout=2) as connection:
                await connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def stop_immediately(self) -> None:
        """Immediate mode: no checkpoint, no goodbye to sessions. It comes back by crash recovery."""
        self.process.send(signal.SIGQUIT)


class Valkey:
    """The broker. `home` may lie on a small file system."""

    def __init__(self, home: Path, logs: Path) -> None:
        data = _data(home)
        password, self.port = data.secret("valkey"), free_port()
        part = valkey_part(data, self.port, password)
        self.directory = data.valkey
        self.url = valkey_url(self.port, password)
        self.process = Process("valkey", part.command, logs / "valkey.log", directory=part.directory)

    async def start(self) -> None:
        await self.process.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it answers and has read its file."""
        async with asyncio.timeout(READY_SECONDS), Redis.from_url(self.url) as client:
            while not await _pongs(client):
                await asyncio.sleep(0.05)

    async def flush(self) -> None:
        async with Redis.from_url(self.url) as client:
            await client.flushall()


async def _pongs(client: "Redis") -> bool:
    try:
        return bool(await client.ping())
    except Exception:  # noqa: BLE001  # loading, refused, reset: not ready
        return False


def _data(home: Path) -> DataDir:
    data = DataDir(home)
    for directory in (data.path, data.logs, data.valkey):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data
