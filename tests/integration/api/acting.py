"""A test that acts as the worker: the engine's own statements and events, without an engine."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncEngine

from common.contracts.calls import Answer
from common.database import calls, jobs
from common.database.connect import connect
from common.events import EventLog
from common.ids import uuid7
from common.settings import Settings

MINUTE = timedelta(minutes=1)


class ActingWorker:
    """Runs a job by hand, step by step."""

    def __init__(self, engine: AsyncEngine, redis: "Redis") -> None:
        self.redis = redis
        self.events = EventLog(redis)
        self._engine = engine

    async def run(self, statement: Executable) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    async def begin(self, job_id: str, models: Sequence[str] = ("mock-a",)) -> list[UUID]:
        """Open the first round; returns its calls, claimed."""
        asked = [
            {
                "id": str(uuid7()),
                "job_id": job_id,
                "round": 0,
                "position": position,
                "model": model,
                "queue": "cloud",
                "fingerprint": "f",
                "request": {},
            }
            for position, model in enumerate(models)
        ]
        assert await self.run(jobs.begin_rounds(asked, MINUTE))
        ids = [UUID(one["id"]) for one in asked]
        assert len(await self.run(calls.claim(ids, "acting", MINUTE))) == len(models)
        progress = {"done": 0, "total": len(models)}
        self.events.append(UUID(job_id), "job.status", {"status": "running", "progress": progress})
        await self.events.drain()
        return ids

    async def say(self, job_id: str, call_id: UUID, text: str) -> None:
        """A delta."""
        self.events.append(UUID(job_id), "call.delta", {"call": str(call_id), "model": "mock-a", "text": text})
        await self.events.drain()

    async def finish_call(self, job_id: str, call_id: UUID, text: str = "Yes.", *, is_told: bool = True) -> None:
        answer = Answer(model="mock-a", status="completed", text=text, attempts=1).model_dump(mode="json")
        row = {"id": str(call_id), "attempt": 1, "status": "completed", "answer": answer}
        assert await self.run(calls.finish([row], MINUTE))
        if is_told:
            said = {"call": str(call_id), "model": "mock-a", "answer": answer}
            self.events.append(UUID(job_id), "call.finished", said)
            await self.events.drain()

    async def finish_job(self, job_id: str, status: str = "completed", *, is_told: bool = True) -> None:
        row = {"id": job_id, "round": 1, "status": status, "result": None, "text": "All agree.", "error": None}
        assert await self.run(jobs.finish([row]))
        if is_told:
            self.events.append(UUID(job_id), "job.finished", {"status": status})
            await self.events.drain()

    async def complete(self, job_id: str, text: str = "Yes.") -> None:
        """The whole life of a job of one call."""
        [call_id] = await self.begin(job_id)
        await self.say(job_id, call_id, text)
        await self.finish_call(job_id, call_id, text)
        await self.finish_job(job_id)


@asynccontextmanager
async def acting_worker(settings: Settings) -> AsyncIterator[ActingWorker]:
    engine = connect(settings.database_url.get_secret_value(), pool_size=2)
    redis: Redis = Redis.from_url(settings.redis_url.get_secret_value())
    try:
        yield ActingWorker(engine, redis)
    finally:
        await redis.aclose()
        await engine.dispose()
