"""Responses that would fill our memory."""

import gzip
from collections.abc import AsyncIterator

import httpx2
import pytest

from common.providers.bounded import BoundedTransport
from common.providers.http import http_client


class Endless(httpx2.AsyncByteStream):
    """A body of which there is always more: a megabyte of it here, so that a test that fails ends."""

    def __init__(self) -> None:
        self.sent = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(1000):
            self.sent += 1000
            yield b"x" * 1000

    async def aclose(self) -> None:
        self.is_closed = True


def client(response: httpx2.Response) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=BoundedTransport(httpx2.MockTransport(lambda _: response), most_bytes=10_000),
        base_url="http://models.example",
    )


@pytest.mark.parametrize("status", [200, 500])
async def test_a_response_without_end_is_broken_off(status: int) -> None:
    body = Endless()
    async with client(httpx2.Response(status, stream=body)) as asking:
        with pytest.raises(httpx2.RemoteProtocolError, match="more than 10000 bytes"):
            await asking.get("/")
    assert body.sent == 11_000
    assert body.is_closed


async def test_a_small_body_that_is_a_huge_one_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(1_000_000))
    response = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(packed))
    async with client(response) as asking:
        with pytest.raises(httpx2.RemoteProtocolError, match="compressed"):
            await asking.get("/")


async def test_others_come_through_as_they_are() -> None:
    async with client(httpx2.Response(200, stream=httpx2.ByteStream(b"x" * 10_000))) as asking:
        assert len((await asking.get("/")).content) == 10_000


async def test_no_server_is_asked_to_compress() -> None:
    async with http_client("http://models.example") as asking:
        assert asking.build_request("POST", "http://models.example").headers["accept-encoding"] == "identity"
