"""A Postgres that took the connection and then fell silent: frozen, or cut off by a network that tells nobody."""

import asyncio
import time

import pytest
from sqlalchemy import text

from api.database import Database
from common.database.connect import connect
from common.errors import DependencyDown
from tests.integration.wire import Wire

STATEMENT = text("SELECT 1 AS one")


async def test_a_silent_postgres_is_given_up_in_time_and_used_again_when_it_speaks(postgres_url: str) -> None:
    wire = Wire(postgres_url)
    async with wire.laid() as url:
        database = Database(connect(url, pool_size=2))
        assert await database.first(STATEMENT) == {"one": 1}
        wire.fall_silent()
        started = time.monotonic()
        with pytest.raises(DependencyDown, match="does not answer"):
            await database.fetch(STATEMENT, seconds=0.3)
        assert time.monotonic() - started < 8
        wire.speak_again()
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await database.first(STATEMENT, seconds=2) == {"one": 1}
                    break
                except DependencyDown:
                    continue
        await database.close()
