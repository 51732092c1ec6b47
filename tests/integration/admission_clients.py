"""Admission's client of Valkey with time to spare, and a Valkey that it does not get in to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from common.admission.shared import admission_redis

# Only a failure waits for so long.
PATIENCE_SECONDS = 60.0


def patient_redis(redis_url: str, seconds: float = PATIENCE_SECONDS) -> "Redis":
    """The client as it is, but for how long it waits: a machine that stands still is no Valkey that is away."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("common.admission.shared.REDIS_SECONDS", seconds)
        return admission_redis(redis_url)


@asynccontextmanager
async def closed(redis_url: str) -> AsyncIterator[None]:
    """Meanwhile Valkey lets nobody in, and whoever was in is out; it forgets nothing."""
    async with Redis.from_url(redis_url) as redis:
        usual = await redis.config_get("maxclients")
        await redis.config_set("maxclients", 1)
        try:
            await redis.execute_command("CLIENT", "KILL", "TYPE", "NORMAL")  # but for this one
            yield
        finally:
            await redis.config_set("maxclients", usual["maxclients"])
