"""Partings: from clients that read nothing, and of the server itself."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.gateway.app import Gateway
from api.gateway.batched_usage import BatchedUsage
from api.receiving import BoundedHttp
from common.circuits import Circuits
from common.settings import Settings
from tests.integration.api.serving import serving

# Only a failure waits for so long.
PATIENCE_SECONDS = 60.0
# More than any socket holds.
LARGE = b"x" * 16 * 1024 * 1024


class Hasty(BoundedHttp):
    silent_seconds = 1.0


async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer that is given up in the middle: that of a watcher who takes nothing, for one."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LARGE, "more_body": True})


@pytest.fixture
async def server() -> AsyncIterator[uvicorn.Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(breaks_off, http=Hasty, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield server
        server.should_exit = True
        await asyncio.wait_for(running, PATIENCE_SECONDS)


async def asked(server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.servers[0].sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return reader, writer


async def test_who_does_not_read_the_rest_is_let_go(server: uvicorn.Server) -> None:
    reader, writer = await asked(server)
    await reader.read(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while server.server_state.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    writer.transport.abort()


async def test_who_reads_it_slowly_gets_it_all(server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hasty, "silent_seconds", 600.0)  # it looks when we say so
    reader, writer = await asked(server)
    said = await reader.read(1)
    [connection] = server.server_state.connections
    assert isinstance(connection, Hasty)
    unread, looks = len(LARGE), 0
    while piece := await reader.read(1024 * 1024):
        said += piece
        if connection.transport.get_write_buffer_size() < unread:  # something was read since it last looked
            unread, looks = connection.transport.get_write_buffer_size(), looks + 1
            connection._look()
    assert said.count(b"x") == len(LARGE)
    assert looks > 2
    writer.transport.abort()


async def test_an_api_stops_though_a_library_swallowed_the_cancellation(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As redis-py does now and then on Python 3.11: one stop in a few hundred hung until it was killed."""
    looking, is_deaf = asyncio.Event(), True

    async def deaf_once(_: Circuits) -> None:
        nonlocal is_deaf
        looking.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not is_deaf:
                raise
            is_deaf = False

    monkeypatch.setattr(Circuits, "refresh", deaf_once)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with serving(settings):
            await looking.wait()


async def test_who_is_cut_off_by_a_stop_may_still_write_down_what_it_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream that is a program takes a moment to end."""
    asked, order = asyncio.Event(), []

    async def chat(*_: object) -> None:
        asked.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.3)
            order.append("used")

    async def close(_: BatchedUsage) -> None:
        order.append("closed")

    monkeypatch.setattr(Gateway, "__call__", chat)
    monkeypatch.setattr(BatchedUsage, "close", close)
    async with serving(settings, drain_seconds=0) as api:
        asking = asyncio.create_task(api.post("/v1/chat/completions"))
        await asked.wait()
    assert order == ["used", "closed"]
    await asyncio.gather(asking, return_exceptions=True)
