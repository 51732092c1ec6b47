"""Both transports against a server that answers byte by byte as the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from api.gateway.aiohttp_transport import AiohttpTransport
from api.gateway.plain_transport import PlainTransport
from api.gateway.transport import Broken, NotReached, Silent, Transport

PATIENCE_SECONDS = 10.0
HEADERS = {"content-type": "application/json", "authorization": "Bearer k"}
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Make = Callable[[str], Transport]


def plain(url: str) -> Transport:
    return PlainTransport(URL(url), HEADERS)


def by_aiohttp(url: str) -> Transport:
    return AiohttpTransport(url, HEADERS, proxy=None)


@pytest.fixture(params=[plain, by_aiohttp])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


class Server:
    """Serves connections, each by the next script, the last one over and over; keeps what it was sent."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.was_asked = asyncio.Event()
        self.left = asyncio.Event()

    @asynccontextmanager
    async def running(self, make: Make) -> AsyncIterator[Transport]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        transport = make(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base")
        try:
            yield transport
        finally:
            await transport.close()
            server.close()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await server.wait_closed()

    async def request(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))
        self.was_asked.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.left.set()
            writer.close()


def says(*answers: bytes, then_leaves: bool = False) -> tuple[Server, Script]:
    """A server that answers one request after the other by these bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await server.request(reader)
            writer.write(answer)
            await writer.drain()
        if not then_leaves:
            await reader.read()

    server = Server(script)
    return server, script


async def read(transport: Transport, body: bytes = b"{}", seconds: float = PATIENCE_SECONDS) -> bytes:
    reply = await transport.post("/chat", body, seconds)
    try:
        said = b""
        while piece := await reply.piece():
            said += piece
        return said
    finally:
        reply.close()


async def test_a_request_says_what_it_must(make: Make) -> None:
    server, _ = says(WHOLE)
    async with server.running(make) as transport:
        assert await read(transport, b'{"a":1}') == b"hello"
    [request] = server.requests
    assert request.startswith(b"POST /base/chat HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"a":1}')
    for header in (b"host: 127.0.0.1:", b"authorization: bearer k", b"content-type: application/json"):
        assert header in request.lower()


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_a_body_is_whole_however_it_is_framed_and_cut(make: Make, answer: bytes, step: int) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        for start in range(0, len(answer), step):
            writer.write(answer[start : start + step])
            await writer.drain()

    server = Server(script)
    async with server.running(make) as transport:
        assert await read(transport) == b"hello"


async def test_a_connection_is_used_again(make: Make) -> None:
    server, _ = says(WHOLE, WHOLE, WHOLE)
    async with server.running(make) as transport:
        for _ in range(3):
            assert await read(transport) == b"hello"
        assert server.connections == 1


async def test_one_that_is_told_to_close_is_not(make: Make) -> None:
    server, _ = says(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
    async with server.running(make) as transport:
        for _ in range(2):
            assert await read(transport) == b"hello"
        assert server.connections == 2


async def test_what_a_kept_connection_swallows_is_sent_once_more(make: Make) -> None:
    async def swallows(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(WHOLE)
        await server.request(reader)  # and not a byte of an answer

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(WHOLE)
        await reader.read()

    server = Server(swallows, answers)
    async with server.running(make) as transport:
        assert [await read(transport), await read(transport)] == [b"hello", b"hello"]
        assert (len(server.requests), server.connections) == (3, 2)


async def test_what_a_fresh_connection_swallows_is_not(make: Make) -> None:
    async def swallows(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)

    server = Server(swallows)
    async with server.running(make) as transport:
        with pytest.raises(Broken):
            await read(transport)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_a_body_that_breaks_off_is_not_whole_but_what_came_of_it_can_be_read(make: Make, answer: bytes) -> None:
    server, _ = says(answer, then_leaves=True)
    async with server.running(make) as transport:
        reply = await transport.post("/chat", b"{}", PATIENCE_SECONDS)
        with pytest.raises(Broken):  # noqa: PT012  # the first piece may come alone
            assert await reply.piece() == b"hello"
            await reply.piece()
        reply.close()


@pytest.mark.parametrize("answer", [b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"])
async def test_what_is_no_http_is_broken(make: Make, answer: bytes) -> None:
    server, _ = says(answer)
    async with server.running(make) as transport:
        with pytest.raises(Broken):
            await read(transport)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"])
async def test_silence_is_borne_for_so_long(make: Make, answer: bytes) -> None:
    server, _ = says(answer)
    async with server.running(make) as transport:
        with pytest.raises(Silent):
            await read(transport, seconds=0.1)
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


async def test_nobody_there_is_told_apart(make: Make) -> None:
    server, _ = says(WHOLE)
    async with server.running(make) as transport:
        pass
    with pytest.raises(NotReached):
        await read(transport)
    await transport.close()


async def test_whoever_gives_up_closes_the_connection(make: Make) -> None:
    server, _ = says(b"")
    async with server.running(make) as transport:
        asking = asyncio.create_task(read(transport))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.was_asked.wait()
            asking.cancel()
            await server.left.wait()


async def test_a_reply_that_is_closed_early_takes_its_connection_along(make: Make) -> None:
    server, _ = says(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello")
    async with server.running(make) as transport:
        reply = await transport.post("/chat", b"{}", PATIENCE_SECONDS)
        assert not reply.is_over()
        reply.close()
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


async def test_a_server_that_is_faster_than_its_reader_waits(make: Make) -> None:
    sent = 0

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    server = Server(floods)
    async with server.running(make) as transport:
        reply = await transport.post("/chat", b"{}", PATIENCE_SECONDS)
        before = -1
        while sent != before:  # the flood stands still
            before = sent
            await asyncio.sleep(0.1)
        assert len(await reply.piece()) < 2**20
        while sent == before:  # and goes on
            await reply.piece()
        reply.close()


async def test_a_response_to_nothing_is_never_taken_for_one_to_the_next_request(make: Make) -> None:
    unasked = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nevil"

    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(WHOLE + unasked)
        await server.request(reader)
        writer.write(b"cannot")

    async def second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(WHOLE)
        await reader.read()

    server = Server(first, second)
    async with server.running(make) as transport:
        assert [await read(transport), await read(transport)] == [b"hello", b"hello"]


async def test_headers_without_end_are_broken() -> None:
    server, _ = says(b"HTTP/1.1 200 OK\r\n" + b"x-y: z\r\n" * 20_000)
    async with server.running(plain) as transport:
        with pytest.raises(Broken):
            await read(transport)
