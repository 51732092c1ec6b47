"""HTTP/1.1 to a server of our own network, without TLS and without a proxy, on httptools.

aiohttp does everything, and each request pays for it: 185 microseconds of the core where this takes 60, and 250
where this takes 70 if the answer comes in 64 chunks (docs/decisions/0010-gateway.md). Here there is what a request
to a model needs: connections that are kept, a body out, a status, headers and a body in, as they come.
"""

import asyncio
from collections.abc import Mapping
from typing import cast

import httptools
from yarl import URL

from api.gateway.transport import Broken, NotReached, Reply, Silent, TransportFault
from common.providers.http import CONNECT_TIMEOUT_SECONDS

# Servers leave idle connections after as little as 5 s, most after more; the rare request that meets one which
# is being left is sent again.
KEPT_SECONDS = 15.0
# A server that is faster than the client behind us waits, once so much of its answer is here.
ENOUGH_BYTES = 256 * 1024
MAX_HEADER_BYTES = 65_536


class PlainTransport:
    """See `Transport`. Connections are bounded by the requests we serve at a time: each has one at most."""

    def __init__(self, base_url: URL, headers: Mapping[str, str]) -> None:
        """`base_url` is an http one without user or query."""
        self._host, self._port = base_url.raw_host or "", base_url.port or 80
        self._path = base_url.raw_path.rstrip("/")
        sent = {"host": base_url.host_port_subcomponent or self._host, **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self._heads: dict[str, bytes] = {}
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._reaping: asyncio.TimerHandle | None = None

    async def post(self, path: str, body: bytes, timeout_seconds: float) -> Reply:
        """See `Transport.post`."""
        message = b"%bcontent-length: %d\r\n\r\n%b" % (self._head(path), len(body), body)
        kept = self._kept()
        if kept is not None:
            reply = kept.send(message, timeout_seconds)
            try:
                return await reply.begun()
            except Broken:
                if reply.has_heard:
                    raise
        connection = await self._connect()
        return await connection.send(message, timeout_seconds).begun()

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._reaping is not None:
            self._reaping.cancel()
        for connection in tuple(self._all):
            connection.fail(Broken("this server is stopping"))

    def keep(self, connection: "_Connection") -> None:
        """Another request may have it."""
        self._idle.append(connection)
        if self._reaping is None:
            self._reaping = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._reap)

    def drop(self, connection: "_Connection") -> None:
        """It is closed."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _kept(self) -> "_Connection | None":
        """The one that was used last: it is the least likely to have been left."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closing:
                return connection
        return None

    def _reap(self) -> None:
        self._reaping = None
        loop = asyncio.get_running_loop()
        for connection in tuple(self._idle):
            if connection.idle_since + KEPT_SECONDS <= loop.time():
                connection.close()
        if self._idle:
            self._reaping = loop.call_later(KEPT_SECONDS / 4, self._reap)

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
        except TimeoutError:
            raise NotReached("no connection in time") from None
        except OSError as error:
            raise NotReached(str(error)) from error
        self._all.add(connection)
        return connection

    def _head(self, path: str) -> bytes:
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = f"POST {self._path}{path} HTTP/1.1\r\n{self._headers}".encode("latin-1")
        return head


class _Connection(asyncio.Protocol):
    """One connection, and what its server says to the request at hand."""

    def __init__(self, owner: PlainTransport) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._reply: _PlainReply | None = None
        self.idle_since = 0.0

    def send(self, message: bytes, timeout_seconds: float) -> "_PlainReply":
        self._reply = reply = _PlainReply(self, timeout_seconds)
        self._transport.write(message)
        return reply

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """Closing says goodbye, where what was to be sent has been; else there is nothing to wait for."""
        self._reply = None
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def fail(self, fault: TransportFault) -> None:
        """Nothing more can come of it."""
        reply, self._reply = self._reply, None
        self._transport.abort()
        if reply is not None:
            reply.fail(fault)

    def pause(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:  # nobody asked
            self._transport.abort()
            return
        reply.hear()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(Broken(f"what it sent is no HTTP: {error}"))
        else:
            reply.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.drop(self)
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.lose(exc)

    # what httptools calls

    def on_message_begin(self) -> None:
        if self._reply is None:  # a response to nothing would be taken for that to the next request
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reply is not None and not self._reply.add_header(name, value):
            self.fail(Broken(f"it sent more than {MAX_HEADER_BYTES} bytes of headers"))

    def on_headers_complete(self) -> None:
        if self._reply is not None:
            self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self._reply is not None:
            self._reply.add(body)

    def on_message_complete(self) -> None:
        reply = self._reply
        if reply is None:
            return
        if reply.status < 200:  # noqa: PLR2004  # 100 Continue and its like: the response is still to come
            reply.restart()
            return
        self._reply = None
        reply.end()
        if self._parser.should_keep_alive():
            self.idle_since = asyncio.get_running_loop().time()
            self._owner.keep(self)
        else:
            self.close()


class _PlainReply:
    """See `Reply`. It has the connection until its end has come."""

    def __init__(self, connection: _Connection, timeout_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection: _Connection | None = connection
        self._timeout_seconds = timeout_seconds
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(timeout_seconds, self._look)
        self._waiter: asyncio.Future[None] | None = None
        self._fault: TransportFault | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._header_bytes = 0
        self._is_over = False
        self._is_paused = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_heard = False

    async def begun(self) -> "_PlainReply":
        """Itself, once the headers are here; it is closed if they never come."""
        try:
            await self._status()
        except BaseException:
            self.close()
            raise
        return self

    async def piece(self) -> bytes:
        """See `Reply.piece`."""
        while not self._pieces:
            if self._fault is not None:
                raise self._fault
            if self._is_over:
                return b""
            await self._wait()
        pieces, self._pieces, self._size = self._pieces, [], 0
        if self._is_paused:
            self._is_paused = False
            if self._connection is not None:
                self._connection.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def is_over(self) -> bool:
        """See `Reply.is_over`."""
        return self._is_over

    def close(self) -> None:
        """See `Reply.close`."""
        self._timer.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # what the connection calls

    def hear(self) -> None:
        self.has_heard = True
        self._heard_at = self._loop.time()

    def add_header(self, name: bytes, value: bytes) -> bool:
        """Whether there was room for it."""
        self._header_bytes += len(name) + len(value)
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        return self._header_bytes <= MAX_HEADER_BYTES

    def add(self, body: bytes) -> None:
        self._pieces.append(body)
        self._size += len(body)
        if self._size > ENOUGH_BYTES and not self._is_paused and self._connection is not None:
            self._is_paused = True
            self._connection.pause()

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def restart(self) -> None:
        self.status, self.headers = 0, {}

    def end(self) -> None:
        """The whole body is here; the connection is no more its own."""
        if self._is_paused and self._connection is not None:
            self._connection.resume()
        self._is_over = True
        self._connection = None
        self._timer.cancel()
        self.wake()

    def lose(self, error: Exception | None) -> None:
        """The connection is gone, which is how the body ends where no header says how long it is."""
        is_bounded = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "")
        if error is None and self.status >= 200 and not is_bounded:  # noqa: PLR2004
            self.end()
        else:
            self.fail(Broken(str(error) if error is not None else "it hung up"))

    def fail(self, fault: TransportFault) -> None:
        self._fault = fault
        self._connection = None
        self._timer.cancel()
        self.wake()

    def _look(self) -> None:
        """Whether it has been silent for too long; while nobody waits for it, it may be."""
        silent_seconds = self._loop.time() - self._heard_at if self._waiter is not None else 0.0
        if silent_seconds >= self._timeout_seconds:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            self.fail(Silent())
        else:
            self._timer = self._loop.call_later(self._timeout_seconds - silent_seconds, self._look)

    async def _status(self) -> None:
        while self.status < 200:  # noqa: PLR2004
            if self._fault is not None:
                raise self._fault
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter
