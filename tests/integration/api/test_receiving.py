"""Clients that never finish what they have to say, on connections of their own beside one that does."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from api.receiving import MAX_HEAD_BYTES, BoundedHttp
from common.settings import Settings
from tests.integration.api.serving import serving

PATIENCE_SECONDS = 10.0
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Hasty(BoundedHttp):
    silent_seconds = 0.8


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings, http=Hasty) as client:
        yield client


async def said_to(api: httpx.AsyncClient, *sent: bytes) -> bytes:
    """All that the server says to a client that says this, and then nothing; it is the server who hangs up."""
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.read()
    except ConnectionError:  # it hung up while we spoke
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST", HEAD, HEAD + b"content-length: 10\r\n\r\n", HEAD + b"content-length: 10\r\n\r\n{"],
    ids=["nothing", "half a line", "half a head", "no body", "half a body"],
)
async def test_a_client_that_falls_silent_in_a_request_is_let_go(api: httpx.AsyncClient, sent: bytes) -> None:
    assert await said_to(api, sent) == b""


async def test_so_is_one_that_did_well_before(api: httpx.AsyncClient) -> None:
    said = await said_to(api, b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n", HEAD)
    assert said.startswith(b"HTTP/1.1 200")
    assert said.count(b"HTTP/1.1") == 1


async def test_a_client_that_speaks_slowly_is_heard_out(api: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    for byte in b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)  # two seconds in all, far longer than it may be silent
    assert await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS) == b"HTTP/1.1 200 OK\r\n"
    writer.transport.abort()


async def test_an_answer_may_take_longer_than_a_client_may_be_silent(api: httpx.AsyncClient) -> None:
    asked = {"prompt": "Why?", "models": ["mock-a"]}
    response = await api.post("/api/analyze", json=asked, headers={"prefer": "wait=1"})
    assert response.status_code == 202, response.text
    assert response.elapsed.total_seconds() >= 1


@pytest.mark.parametrize("sent", [b"x: " + b"y" * 100, b"x: " + b"y" * 4096], ids=["many headers", "longer ones"])
async def test_a_head_without_end_is_refused(settings: Settings, sent: bytes) -> None:
    lines = [sent + b"\r\n"] * (4 * MAX_HEAD_BYTES // len(sent))
    async with serving(settings) as patient:
        said = await said_to(patient, HEAD, *lines)
    assert said == b"" or (said.startswith(b"HTTP/1.1 400") and b"larger than 65536 bytes" in said)


async def test_so_is_one_of_a_single_endless_line(settings: Settings) -> None:
    async with serving(settings) as patient:
        said = await said_to(patient, HEAD, b"x: ", *[b"y" * 4096] * 64)
    assert said == b"" or b"larger than 65536 bytes" in said


async def test_a_large_head_is_no_crime(api: httpx.AsyncClient) -> None:
    response = await api.get("/health/live", headers={f"x-{number}": "y" * 1000 for number in range(30)})
    assert response.status_code == 200
