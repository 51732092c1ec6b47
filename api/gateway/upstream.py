"""One server that speaks OpenAI's interface, over aiohttp: bytes out, bytes in, its failures as faults."""

from contextvars import ContextVar
from io import BytesIO
from typing import Any

import aiohttp
import httpx2
from pydantic import SecretStr
from yarl import URL

from api.gateway.faults import Fault
from api.gateway.saying import refused
from common.errors import BadUpstream, ProviderError, Timeout, Unavailable
from common.providers.foreign_errors import presentable
from common.providers.http import CONNECT_TIMEOUT_SECONDS, Proxies

# Each carries a request of a client of ours, and so their number is the server's that listens to those.
MAX_CONNECTIONS = 10_000
# Some servers answer an error with a page; the sentence that helps comes early.
MAX_ERROR_BYTES = 16_384
# 2,048 vectors of 3,072 numbers, the most that OpenAI gives at once.
MAX_ANSWER_BYTES = 192 * 1024 * 1024
# aiohttp's own idea of it
LARGE_BYTES = 1024 * 1024

_has_own_connection: ContextVar[bool] = ContextVar("_has_own_connection", default=False)


class Upstream:
    """Sends to one server. Belongs to one event loop; connects to nothing until something is sent."""

    def __init__(self, name: str, base_url: str, key: SecretStr | None, proxies: Proxies) -> None:
        """`base_url` ends before `/chat/completions`."""
        self.name = name
        self._base_url = base_url
        self._secret = key.get_secret_value() if key else None
        self._proxy = proxies.before(base_url)
        self._urls: dict[str, URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._pooled: aiohttp.ClientSession | None = None
        self._single: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, timeout_seconds: float) -> aiohttp.ClientResponse:
        """The response, of which the headers have come and whose status is that of an answer; the caller closes it.

        No wait for the server, for these headers or for what follows, takes longer than `timeout_seconds`.

        A request that an old connection swallowed is sent once more, see `common.providers.resending`.

        Raises:
            Fault: there is none.
        """
        url, timeout = self._url(path), self._timeout(timeout_seconds)
        session = self._pooled or self._open()
        marked = _has_own_connection.set(False)
        try:
            try:
                response = await session.post(url, data=_sent(body), timeout=timeout, allow_redirects=False)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if _has_own_connection.get() or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                session = self._single or self._open_single()
                response = await session.post(url, data=_sent(body), timeout=timeout, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.broken(error, timeout_seconds) from error
        finally:
            _has_own_connection.reset(marked)
        if response.status != 200:  # noqa: PLR2004
            raise await self._refused(response, timeout_seconds)
        return response

    async def whole(self, path: str, body: bytes, timeout_seconds: float) -> bytes:
        """The whole body of an answer.

        Raises:
            Fault: as `post`, or it broke off, or is too large to be one.
        """
        response = await self.post(path, body, timeout_seconds)
        try:
            pieces = []
            size = 0
            while piece := await response.content.readany():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    raise Fault(BadUpstream(f"{self.name} sent more than {MAX_ANSWER_BYTES} bytes."))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.broken(error, timeout_seconds) from error
        finally:
            # of an answer that was read to its end, the connection has gone back to the pool by now
            response.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def piece(self, response: aiohttp.ClientResponse, timeout_seconds: float) -> bytes:
        """All that has come of the response by now, or the next of it; empty at its end.

        Raises:
            Fault: the connection broke.
        """
        try:
            return await response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.broken(error, timeout_seconds) from error

    def broken(self, error: Exception, timeout_seconds: float) -> Fault:
        """The fault of a connection that did not come about, broke or fell silent."""
        detail = presentable(str(error), self._secret)
        made: ProviderError
        if isinstance(
            error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientProxyConnectionError
        ):
            made = Unavailable(f"{self.name} cannot be reached: {detail or 'no connection in time'}")
        elif isinstance(error, TimeoutError):
            made = Timeout(f"{self.name} was silent for {timeout_seconds:g} s.")
        else:
            made = BadUpstream(f"{self.name} broke the connection: {detail or 'it gave no reason'}")
        return Fault(made)

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._pooled, self._single):
            if session is not None:
                await session.close()
        self._pooled = self._single = None

    async def _refused(self, response: aiohttp.ClientResponse, timeout_seconds: float) -> Fault:
        body = b""
        try:
            while len(body) < MAX_ERROR_BYTES and (piece := await response.content.readany()):
                body += piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not body:
                return self.broken(error, timeout_seconds)
        finally:
            response.close()
        return refused(self.name, response.status, response.headers, body[:MAX_ERROR_BYTES], self._secret)

    def _open(self) -> aiohttp.ClientSession:
        self._pooled = self._session(_Connector(limit=MAX_CONNECTIONS, ssl=httpx2.create_ssl_context()))
        return self._pooled

    def _open_single(self) -> aiohttp.ClientSession:
        """Keeps no connection: each of its requests is the first on one of its own."""
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=True, ssl=httpx2.create_ssl_context())
        self._single = self._session(connector)
        return self._single

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        # compressed events would wait in the server until a block of them is full
        headers = {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "ultrallm",
        }
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=headers, proxy=self._proxy
        )

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._base_url + path)
        return url

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(seconds)
        if timeout is None:
            timeout = self._timeouts[seconds] = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=seconds
            )
        return timeout


def _sent(body: bytes) -> bytes | BytesIO:
    """A large body is copied to the socket bit by bit: all at once it would keep every other request waiting."""
    return BytesIO(body) if len(body) > LARGE_BYTES else body


class _Connector(aiohttp.TCPConnector):
    """Notes of the request at hand that a connection was opened for it."""

    async def _create_connection(self, *args: Any) -> Any:
        _has_own_connection.set(True)
        return await super()._create_connection(*args)
