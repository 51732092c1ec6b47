"""A stretch of network before Postgres that can fall silent, and tells nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import make_url


class Wire:
    """A stretch of network before Postgres that can fall silent."""

    def __init__(self, postgres_url: str) -> None:
        self._url = make_url(postgres_url)
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

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
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def fall_silent(self) -> None:
        self._speaks.clear()

    def speak_again(self) -> None:
        self._speaks.set()

    def strand(self) -> None:
        """Fall silent on every connection that there is; those that come will be heard."""
        self._speaks.clear()
        self._speaks = asyncio.Event()
        self._speaks.set()

    async def _accept(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await self._connect()
        self._writers += [near_out, far_out]
        self._tasks += [
            asyncio.create_task(_carry(near_in, far_out, self._speaks)),
            asyncio.create_task(_carry(far_in, near_out, self._speaks)),
        ]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        directory = self._url.query.get("host")
        port = self._url.port or self._url.query.get("port") or 5432
        if directory:
            return await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._url.host, int(str(port)))


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, speaks: asyncio.Event) -> None:
    try:
        while data := await source.read(65_536):
            await speaks.wait()
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass  # one end hung up: so does the other
    finally:
        sink.close()
