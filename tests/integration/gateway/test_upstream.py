"""Logins in URLs: used where they are meant for, and never shown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from api.gateway.faults import Fault
from api.gateway.upstream import Upstream
from common.errors import Unavailable
from common.providers.http import Proxies

PATIENCE_SECONDS = 10.0
LOGIN = "somebody:hunter2"
BASIC = b"Basic c29tZWJvZHk6aHVudGVyMg=="


@asynccontextmanager
async def refusing(status: bytes, heads: list[bytes]) -> AsyncIterator[str]:
    """The place of a server that refuses everybody, and keeps how it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def refused(upstream: Upstream) -> Fault:
    with pytest.raises(Fault) as caught:
        await upstream.post("/chat/completions", b"{}", PATIENCE_SECONDS)
    await upstream.close()
    return caught.value


async def test_a_proxy_that_refuses_us_is_named_without_its_password() -> None:
    heads: list[bytes] = []
    async with refusing(b"407 Proxy Authentication Required", heads) as place:
        proxies = Proxies(https=f"http://{LOGIN}@{place}")
        fault = await refused(Upstream("openai", "https://models.invalid/v1", SecretStr("sk"), proxies))
    assert BASIC in heads[0]
    assert isinstance(fault.error, Unavailable)
    assert fault.error.message == "openai cannot be reached: its proxy answered 407 Proxy Authentication Required"


async def test_a_login_in_the_url_goes_before_the_key() -> None:
    heads: list[bytes] = []
    async with refusing(b"404 Not Found", heads) as place:
        fault = await refused(Upstream("openai", f"http://{LOGIN}@{place}/v1", SecretStr("sk"), Proxies()))
    assert BASIC in heads[0]
    assert "hunter2" not in fault.error.message
