"""A test that acts as the lifecycle worker of a node: its store and its operations, without Docker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from sqlalchemy import Executable, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.database.connect import connect
from common.events import EventLog
from common.fleet.contracts import Fault, Instance, Reservation, RunnerHealth, State
from common.fleet.store import FleetStore
from common.settings import Settings
from worker.lifecycle.operations import Operations

NODE = "here"
# Longer than anything here takes on a loaded machine; only a failure waits for it.
PATIENCE_SECONDS = 90


class ActingKeeper:
    """Moves models by hand. Each step is one that a reconciler would have taken."""

    def __init__(self, engine: AsyncEngine, redis: "Redis") -> None:
        self._engine = engine
        self._store = FleetStore(engine, NODE)
        self._events = EventLog(redis)
        self._operations = Operations(engine, self._events, NODE)
        self._instances: dict[str, Instance] = {}
        self._base_urls: dict[str, str] = {}

    async def live(self) -> None:
        """Say that the node is there."""
        await self.run(
            text(
                "INSERT INTO nodes (name, limit_bytes, capacity_bytes, free_bytes, seen_at)"
                " VALUES (:node, 8000000000, 8000000000, 4000000000, now() + interval '1 hour')"
            ).bindparams(node=NODE)
        )

    async def wanted(self, model: str) -> dict[str, Any]:
        """The model's row, once somebody has asked for it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not ((row := await self.row(model)) and row["is_wanted"]):  # noqa: ASYNC110  # a row has no event
                await asyncio.sleep(0.01)
        return row

    async def row(self, model: str) -> dict[str, Any] | None:
        rows = await self.run(text("SELECT * FROM models WHERE id = :model").bindparams(model=model))
        return rows[0] if rows else None

    async def show(self, model: str, state: State, reason: str | None = None) -> None:
        await self._store.claim(model)
        assert await self._store.show(model, state, reason)
        await self.follow()

    async def serve(self, model: str, base_url: str, *, is_busy: bool = False) -> int:
        """A container of the model is ready there; returns its generation."""
        await self._store.claim(model)
        row = await self.row(model)
        assert row is not None
        generation = row["generation"] + 1
        assert await self._store.raise_generation(model, generation)
        container = uuid4().hex
        self._instances[model] = Instance(
            container=container,
            model=model,
            generation=generation,
            spec="spec",
            node=NODE,
            reserved=Reservation(1 << 30),
            status="running",
            created_at=datetime.now(UTC),
            started_at=datetime.now(UTC),
            health=RunnerHealth(
                status="ready", in_flight=int(is_busy), idle_seconds=None if is_busy else 1.5,
                memory_bytes=1 << 29,
            ),
        )  # fmt: skip
        self._base_urls[container] = base_url
        await self.look()
        assert await self._store.proved(container)
        await self.show(model, State.READY)
        return generation

    async def look(self) -> None:
        """Write down what there is, as it is."""
        await self._store.observe(list(self._instances.values()), self._base_urls)

    async def end(self, model: str) -> None:
        """The model's container has ended, and is gone."""
        instance = self._instances.pop(model)
        await self._store.observe([replace(instance, status="exited"), *self._instances.values()], self._base_urls)
        await self.look()

    async def drain(self, model: str) -> None:
        """Remember that its container is to leave."""
        container = self._instances[model].container
        assert await self._store.stopping(container, "Told to stop.", datetime.now(UTC) + timedelta(seconds=30))
        await self.show(model, State.DRAINING)

    async def fail(self, model: str, message: str) -> None:
        await self._store.claim(model)
        assert await self._store.fail(
            model, Fault("model_missing", message, is_fatal=True), generation=None, spec="spec", state=State.FAILED,
            failures=1, retry_at=None,
        )  # fmt: skip
        await self.follow()

    async def follow(self) -> None:
        """Move the operations as far as their models have come."""
        await self._operations.follow()
        await self._events.drain()

    async def wishes(self, model: str) -> int:
        """How many operations there ever were on this model."""
        counted = text("SELECT count(*) AS n FROM jobs WHERE request ->> 'model_id' = :model").bindparams(model=model)
        return int((await self.run(counted))[0]["n"])

    async def run(self, statement: Executable) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []


@asynccontextmanager
async def acting_keeper(settings: Settings) -> AsyncIterator[ActingKeeper]:
    """A keeper whose node lives."""
    engine = connect(settings.database_url.get_secret_value(), pool_size=2)
    redis: Redis = Redis.from_url(settings.redis_url.get_secret_value())
    try:
        keeper = ActingKeeper(engine, redis)
        await keeper.live()
        yield keeper
    finally:
        await redis.aclose()
        await engine.dispose()
