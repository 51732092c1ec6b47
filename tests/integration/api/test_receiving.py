"""Clients that never finish what they have to say, on connections of their own beside one that does."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from api.receiving import MAX_HEAD_BYTES, BoundedHttp
from common.settings import Settings
from tests.integration.api.serving import serving

# Only a failure waits for so long.
PATIENCE_SECONDS = 60.0
LIVE = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Hasty(BoundedHttp):
    silent_seconds = 0.3


class Aging(BoundedHttp):
    """A connection that tells when it has heard something, and for which time passes when the test says so."""

    heard: "asyncio.Queue[Aging]"

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.heard.put_nowait(self)

    def age(self, seconds: float) -> None:
        """Let it have been silent for so much longer."""
        self._heard_at -= seconds
        self._look()


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    Aging.heard = asyncio.Queue()
    async with serving(settings, http=Aging) as client:
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
async def test_a_client_that_falls_silent_in_a_request_is_let_go(settings: Settings, sent: bytes) -> None:
    async with serving(settings, http=Hasty) as api:
        assert await said_to(api, sent) == b""


async def test_so_is_one_that_did_well_before(api: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(LIVE)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await Aging.heard.get()
        writer.write(HEAD)
        connection = await Aging.heard.get()
        connection.age(60)
        assert b"HTTP/1.1" not in await reader.read()
    writer.transport.abort()


async def test_a_client_that_speaks_slowly_is_heard_out(api: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for byte in LIVE:
            writer.write(bytes([byte]))
            connection = await Aging.heard.get()
            connection.age(40)  # half an hour in all, far longer than it may be silent
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.transport.abort()


async def test_an_answer_may_take_longer_than_a_client_may_be_silent(api: httpx.AsyncClient) -> None:
    asked = {"prompt": "Why?", "models": ["mock-a"]}
    posting = asyncio.create_task(api.post("/api/analyze", json=asked, headers={"prefer": "wait=1"}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (connection := await Aging.heard.get())._is_receiving:
            pass
    connection.age(60)
    response = await posting
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
