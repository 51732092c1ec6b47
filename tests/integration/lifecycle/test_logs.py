"""What a container wrote, asked for through Redis as the API does."""

import pytest
from redis.asyncio import Redis

from common.fleet import logs
from tests.integration.lifecycle.station import NODE, Station, docker

pytestmark = pytest.mark.docker


async def test_the_log_of_a_model_is_read_and_that_of_a_foreign_container_is_not(
    station: Station, redis_url: str, installation: str
) -> None:
    model = station.has("a")
    station.start_worker()
    row = await station.ready(model)
    [foreign] = docker("run", "-d", "--label", f"ultra.installation={installation}", station.image)
    async with Redis.from_url(redis_url, socket_timeout=10) as redis:
        lines = await logs.ask(redis, NODE, row["container"], 10)
        assert [(line.stream, line.text) for line in lines] == [("stdout", "loaded")]
        for container in (foreign, "0" * 64, "../info"):
            with pytest.raises(logs.NoLogs):
                await logs.ask(redis, NODE, container, 10)
