"""HTTP to servers across the internet, by aiohttp: TLS, proxies, and addresses of which some lead nowhere."""

from collections.abc import Mapping
from contextvars import ContextVar
from io import BytesIO
from typing import Any

import aiohttp
import httpx2
from yarl import URL

from api.gateway.transport import Broken, NotReached, Reply, Silent, TransportFault
from common.providers.http import CONNECT_TIMEOUT_SECONDS

# Each carries a request of a client of ours, and so their number is the server's that listens to those.
MAX_CONNECTIONS = 10_000
# A larger body is copied to the socket bit by bit: all at once it would keep every other request waiting.
LARGE_BYTES = 1024 * 1024

_FOREIGN = (aiohttp.ClientError, TimeoutError, OSError)
_NOT_REACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

_has_own_connection: ContextVar[bool] = ContextVar("_has_own_connection", default=False)


class AiohttpTransport:
    """See `Transport`."""

    def __init__(self, base_url: str, headers: Mapping[str, str], proxy: str | None) -> None:
        self._base_url = base_url
        self._headers = headers
        self._proxy = proxy
        self._urls: dict[str, URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._pooled: aiohttp.ClientSession | None = None
        self._single: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, timeout_seconds: float) -> Reply:
        """See `Transport.post`."""
        session = self._pooled or self._open_pooled()
        marked = _has_own_connection.set(False)
        try:
            try:
                response = await self._send(session, path, body, timeout_seconds)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if _has_own_connection.get() or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                response = await self._send(self._single or self._open_single(), path, body, timeout_seconds)
        except _FOREIGN as error:
            raise _fault(error) from error
        finally:
            _has_own_connection.reset(marked)
        return _AiohttpReply(response)

    async def close(self) -> None:
        """See `Transport.close`."""
        for session in (self._pooled, self._single):
            if session is not None:
                await session.close()
        self._pooled = self._single = None

    async def _send(
        self, session: aiohttp.ClientSession, path: str, body: bytes, timeout_seconds: float
    ) -> aiohttp.ClientResponse:
        url = self._urls.setdefault(path, URL(self._base_url + path))
        timeout = self._timeouts.get(timeout_seconds)
        if timeout is None:
            timeout = self._timeouts[timeout_seconds] = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=timeout_seconds
            )
        data = BytesIO(body) if len(body) > LARGE_BYTES else body
        return await session.post(url, data=data, timeout=timeout, allow_redirects=False)

    def _open_pooled(self) -> aiohttp.ClientSession:
        self._pooled = self._session(_Connector(limit=MAX_CONNECTIONS, ssl=httpx2.create_ssl_context()))
        return self._pooled

    def _open_single(self) -> aiohttp.ClientSession:
        """Keeps no connection: each of its requests is the first on one of its own."""
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=True, ssl=httpx2.create_ssl_context())
        self._single = self._session(connector)
        return self._single

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=self._headers, proxy=self._proxy
        )


class _AiohttpReply:
    """See `Reply`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Reply.headers`; these are found in letters of any size."""
        return self._response.headers

    async def piece(self) -> bytes:
        """See `Reply.piece`."""
        try:
            return await self._response.content.readany()
        except _FOREIGN as error:
            raise _fault(error) from error

    def is_over(self) -> bool:
        """See `Reply.is_over`."""
        return self._response.content.is_eof()

    def close(self) -> None:
        """See `Reply.close`."""
        self._response.close()


class _Connector(aiohttp.TCPConnector):
    """Notes of the request at hand that a connection was opened for it."""

    async def _create_connection(self, *args: Any) -> Any:
        _has_own_connection.set(True)
        return await super()._create_connection(*args)


def _fault(error: Exception) -> TransportFault:
    if isinstance(error, aiohttp.ClientHttpProxyError):  # whose own words have the proxy's URL, password and all
        return NotReached(f"its proxy answered {error.status} {error.message}")
    if isinstance(error, _NOT_REACHED):
        return NotReached(str(error))
    return Silent() if isinstance(error, TimeoutError) else Broken(str(error))
