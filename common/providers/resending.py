"""A transport that lets no request die of its connection's age.

Servers close kept connections when they please, and llama.cpp does so without a word; a request that is
written in that very moment is lost. Clients have always sent such a request once more (RFC 9112, 9.3.1),
and so do we, where three things are certain: the connection was an old one, so its server may have left it
long ago; not a byte of a response has come; and the body can be said again. Whatever else goes wrong is
the caller's to judge.
"""

import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2
from httpcore2 import SOCKET_OPTION, AsyncNetworkBackend, AsyncNetworkStream

DIED = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


@dataclass(slots=True)
class _Exchange:
    """What has become of one request."""

    has_own_connection: bool = False
    is_answered: bool = False


_current: ContextVar[_Exchange | None] = ContextVar("_current", default=None)


class ResendingTransport(httpx2.AsyncBaseTransport):
    """Sends over `pooled`, and over `fresh` what an old connection of the pool has swallowed."""

    def __init__(self, pooled: httpx2.AsyncHTTPTransport, fresh: httpx2.AsyncHTTPTransport) -> None:
        """`fresh` keeps no connection: each of its requests is the first on one of its own."""
        pool = pooled._pool  # noqa: SLF001  # httpx2 has no other door to the bytes
        pool._network_backend = _WatchedBackend(pool._network_backend)  # noqa: SLF001
        self._pooled = pooled
        self._fresh = fresh

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, of which the headers have come.

        Raises:
            httpx2.TransportError: as any transport; the request was sent twice at most.
        """
        exchange = _Exchange()
        watching = _current.set(exchange)
        try:
            return await self._pooled.handle_async_request(request)
        except DIED:
            is_repeatable = isinstance(request.stream, httpx2.ByteStream)
            if exchange.has_own_connection or exchange.is_answered or not is_repeatable:
                raise
        finally:
            _current.reset(watching)
        return await self._fresh.handle_async_request(request)

    async def aclose(self) -> None:
        await self._pooled.aclose()
        await self._fresh.aclose()


class _WatchedBackend(AsyncNetworkBackend):
    """Notes of the request at hand that a connection was opened for it."""

    def __init__(self, backend: AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        if exchange := _current.get():
            exchange.has_own_connection = True
        return _WatchedStream(await self._backend.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _WatchedStream(AsyncNetworkStream):
    """Notes of the request at hand that its server has begun to answer."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # see above
        data = await self._stream.read(max_bytes, timeout)
        if data and (exchange := _current.get()):
            exchange.is_answered = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # see above
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # see above
    ) -> AsyncNetworkStream:
        return _WatchedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
