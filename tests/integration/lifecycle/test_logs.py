"""What a container wrote, asked for through Redis as the API does."""

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from common.contracts.fleet import LogLineDocument
from common.errors import DependencyDown
from common.fleet import logs
from tests.integration.lifecycle.station import NODE, PATIENCE_SECONDS, Station, docker

pytestmark = pytest.mark.docker


async def read(redis: "Redis", container: str) -> list[LogLineDocument]:
    """Its lines once there are any; asked for again while nobody answers in time, as people do."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(DependencyDown):
                if lines := await logs.ask(redis, NODE, container, 10):
                    return lines


async def test_the_log_of_a_model_is_read_and_that_of_a_foreign_container_is_not(
    station: Station, redis_url: str, installation: str
) -> None:
    model = station.has("a")
    station.start_worker()
    row = await station.ready(model)
    [foreign] = docker("run", "-d", "--label", f"ultra.installation={installation}", station.image)
    async with Redis.from_url(redis_url, socket_timeout=10) as redis:
        lines = await read(redis, row["container"])
        assert [(line.stream, line.text) for line in lines] == [("stdout", "loaded")]
        for container in (foreign, "0" * 64, "../info"):
            with pytest.raises(logs.NoLogs):
                await read(redis, container)
