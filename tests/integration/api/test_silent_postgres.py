"""A Postgres that took the connection and then fell silent: frozen, or cut off by a network that tells nobody."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url, text

from api.database import Database
from common.database.connect import connect
from common.errors import DependencyDown

STATEMENT = text("SELECT 1 AS one")


class Wire:
    """A stretch of network before Postgres that can fall silent."""

    def __init__(self, postgres_url: str) -> None:
        self._url = make_url(postgres_url)
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """The database's URL at the near end."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield self._url.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def fall_silent(self) -> None:
        self._speaks.clear()

    def speak_again(self) -> None:
        self._speaks.set()

    async def _accept(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await self._connect()
        self._tasks += [
            asyncio.create_task(self._carry(near_in, far_out)),
            asyncio.create_task(self._carry(far_in, near_out)),
        ]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        directory = self._url.query.get("host")
        port = self._url.port or self._url.query.get("port") or 5432
        if directory:
            return await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._url.host, int(str(port)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._speaks.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # one end hung up: so does the other
        finally:
            sink.close()


@pytest.fixture
async def wire(postgres_url: str) -> Wire:
    return Wire(postgres_url)


async def test_a_silent_postgres_is_given_up_in_time_and_used_again_when_it_speaks(wire: Wire) -> None:
    async with wire.laid() as url:
        database = Database(connect(url, pool_size=2))
        assert await database.first(STATEMENT) == {"one": 1}
        wire.fall_silent()
        started = time.monotonic()
        with pytest.raises(DependencyDown, match="does not answer"):
            await database.fetch(STATEMENT, seconds=0.3)
        assert time.monotonic() - started < 8
        wire.speak_again()
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await database.first(STATEMENT, seconds=2) == {"one": 1}
                    break
                except DependencyDown:
                    continue
        await database.close()
