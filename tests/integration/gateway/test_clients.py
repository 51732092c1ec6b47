"""Clients that wait, that leave, and that do not read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from common.settings import Settings
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import ScriptedServer
from tests.contract.troubles import Trouble
from tests.integration.api.serving import serving
from tests.integration.gateway.talking import HELLO, chunks_of, text_of
from tests.integration.gateway.upstreams import LONG_WORD, TEXT, good

PATIENCE_SECONDS = 10.0
HEARTBEAT_SECONDS = 0.1
# What the kernel may hold of two connections on one machine, by far more than we do.
KERNEL_BYTES = 24 * 1024 * 1024


@pytest.fixture
def models() -> dict[str, Any]:
    waiting = {f"scripted-{trouble}": {} for trouble in (Trouble.NO_RESPONSE, Trouble.SLOW_FIRST_TOKEN, Trouble.STALL)}
    return {**waiting, "scripted-late": {}, "scripted-endless": {}, "scripted-late-fault": {}}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    patience = {"ultra_heartbeat_seconds": HEARTBEAT_SECONDS, "ultra_stuck_client_seconds": 0.5}
    async with serving(settings.model_copy(update=patience)) as client:
        yield client


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("model", [Trouble.NO_RESPONSE, Trouble.SLOW_FIRST_TOKEN, Trouble.STALL])
async def test_a_client_that_leaves_ends_the_request_upstream_at_every_stage(
    api: httpx.AsyncClient, server: ScriptedServer, model: str, is_streamed: bool
) -> None:
    async with raw_chat(api, f"scripted-{model}", stream=is_streamed) as (reader, _):
        await asyncio.wait_for(server.was_asked.wait(), PATIENCE_SECONDS)
        if model is Trouble.STALL and is_streamed:
            await asyncio.wait_for(reader.readuntil(b"Once upon"), PATIENCE_SECONDS)
    [exchange] = server.exchanges
    await asyncio.wait_for(exchange.client_left.wait(), PATIENCE_SECONDS)


async def test_a_client_that_leaves_in_the_middle_of_a_flood_ends_it(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    async with raw_chat(api, "scripted-endless", stream=True) as (reader, _):
        await reader.readexactly(100_000)
    [exchange] = server.exchanges
    await asyncio.wait_for(exchange.client_left.wait(), PATIENCE_SECONDS)


async def test_a_client_that_does_not_read_is_cut_off_and_holds_little_until_then(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    said = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal said
        await exchange.begin()
        try:
            while True:
                await exchange.say(LONG_WORD)
                said += len(LONG_WORD)
        except ConnectionError:
            exchange.client_left.set()

    server.scripts["endless"] = flood
    async with raw_chat(api, "scripted-endless", stream=True):
        await asyncio.wait_for(server.was_asked.wait(), PATIENCE_SECONDS)
        [exchange] = server.exchanges
        # the flood stops when nobody takes any more, long before the client is given up
        await asyncio.wait_for(exchange.client_left.wait(), PATIENCE_SECONDS)
    assert said < KERNEL_BYTES


async def test_a_stream_is_never_silent_for_long_and_its_words_are_as_ever(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    answer_now = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await answer_now.wait()
        await good(exchange)

    server.scripts["late"] = late
    said = b""
    body = {"model": "scripted-late", "messages": HELLO, "stream": True}
    async with api.stream("POST", "/v1/chat/completions", json=body) as response:
        async for piece in response.aiter_bytes():
            said += piece
            if said.count(b"\n\n") >= 2:
                answer_now.set()
    assert response.status_code == 200
    assert said.startswith(b": ")
    assert text_of(chunks_of(said.decode())) == TEXT


async def test_a_fault_after_a_heartbeat_is_an_event_for_the_status_is_gone(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    fail_now = asyncio.Event()

    async def late_fault(exchange: Exchange) -> None:
        await fail_now.wait()
        await exchange.error(429, "Slow down", "rate_limit_exceeded")

    server.scripts["late-fault"] = late_fault
    async with raw_chat(api, "scripted-late-fault", stream=True) as (reader, _):
        await reader.readuntil(b": still at it\n\n")
        fail_now.set()
        rest = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    assert b'data: {"error":{"message":"scripted answered 429: Slow down"' in rest
    assert b"[DONE]" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


async def test_a_client_that_closes_only_its_sending_half_is_gone(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    async with raw_chat(api, f"scripted-{Trouble.STALL}", stream=True) as (reader, writer):
        await asyncio.wait_for(reader.readuntil(b"Once upon"), PATIENCE_SECONDS)
        writer.write_eof()
        [exchange] = server.exchanges
        await asyncio.wait_for(exchange.client_left.wait(), PATIENCE_SECONDS)


async def test_a_server_that_stops_tells_the_streams_that_it_cuts(settings: Settings, server: ScriptedServer) -> None:
    async with AsyncExitStack() as connections:
        async with serving(settings, drain_seconds=1) as api:
            reader, _ = await connections.enter_async_context(raw_chat(api, f"scripted-{Trouble.STALL}", stream=True))
            await asyncio.wait_for(reader.readuntil(b"Once upon"), PATIENCE_SECONDS)
        rest = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    assert b'data: {"error":{"message":"This server is stopping."' in rest
    assert not rest.endswith(b"0\r\n\r\n")


@asynccontextmanager
async def raw_chat(
    api: httpx.AsyncClient, model: str, **more: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request of which the test reads the bytes, or does not; the connection breaks when it is left.

    It takes little into its own buffers, and so does the kernel for it.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (api.base_url.host, api.base_url.port or 80))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    body = orjson.dumps({"model": model, "messages": HELLO, **more})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
