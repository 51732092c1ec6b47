"""The rule of `ResendingTransport`, case by case, on a network that is a list of what it will say."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore2
import httpx2
import pytest

from common.providers.resending import ResendingTransport

URL = "http://models.example/v1"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
END = b""


class Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, says: Iterable[bytes]) -> None:
        self._says = iter(says)
        self.heard = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return next(self._says, END)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self.heard += buffer

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None


class Network(httpcore2.AsyncNetworkBackend):
    """Each connection says what the next list holds; one that is None is refused."""

    def __init__(self, *connections: list[bytes] | None) -> None:
        self._connections = iter(connections)
        self.streams: list[Stream] = []

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        says = next(self._connections)
        if says is None:
            raise httpcore2.ConnectError("refused")
        self.streams.append(Stream(says))
        return self.streams[-1]

    @property
    def requests(self) -> list[int]:
        """How many each connection has heard."""
        return [stream.heard.count(b"POST ") for stream in self.streams]


def client(network: Network) -> httpx2.AsyncClient:
    def transport(kept: int) -> httpx2.AsyncHTTPTransport:
        made = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_keepalive_connections=kept))
        made._pool._network_backend = network
        return made

    return httpx2.AsyncClient(transport=ResendingTransport(transport(10), transport(0)))


async def test_a_request_lost_on_an_old_connection_is_sent_on_a_fresh_one() -> None:
    network = Network([ANSWER, END], [ANSWER])
    async with client(network) as http:
        assert (await http.post(URL, content=b"first")).text == "ok"
        assert (await http.post(URL, content=b"second")).text == "ok"
    assert network.requests == [2, 1]
    assert network.streams[1].heard.endswith(b"second")


async def test_the_fresh_connection_is_not_kept() -> None:
    network = Network([ANSWER, END], [ANSWER], [ANSWER])
    async with client(network) as http:
        for _ in range(3):
            assert (await http.post(URL)).text == "ok"
    assert network.requests == [2, 1, 1]


async def test_a_request_on_a_connection_of_its_own_is_sent_once() -> None:
    network = Network([END], [ANSWER])
    async with client(network) as http:
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(URL)
    assert network.requests == [1]


async def test_after_a_byte_of_the_answer_nothing_is_sent_again() -> None:
    network = Network([ANSWER, b"HTTP/1.1 2", END], [ANSWER])
    async with client(network) as http:
        await http.post(URL)
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(URL)
    assert network.requests == [2]


async def test_an_answer_that_is_none_is_not_asked_for_again() -> None:
    network = Network([ANSWER, b"what?\r\n\r\n"], [ANSWER])
    async with client(network) as http:
        await http.post(URL)
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(URL)
    assert network.requests == [2]


async def test_a_body_that_can_be_said_once_is_sent_once() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    network = Network([ANSWER, END], [ANSWER])
    async with client(network) as http:
        await http.post(URL)
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(URL, content=body())
    assert network.requests == [2]


async def test_a_refused_connection_is_not_tried_again() -> None:
    network = Network(None, [ANSWER])
    async with client(network) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.post(URL)
    assert network.requests == []


async def test_the_second_time_is_the_last() -> None:
    network = Network([ANSWER, END], [END], [ANSWER])
    async with client(network) as http:
        await http.post(URL)
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(URL)
    assert network.requests == [2, 1]
