"""Passing through: the client's request to a server of the same interface, and its answer back."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress

import orjson

from api.gateway.answers import Stream, Whole
from api.gateway.asked import Asked
from api.gateway.chunks import Chunks
from api.gateway.conforming import Garbled, conform_answer, conform_embeddings, model_named
from api.gateway.counting import reasoning_tokens_of, usage_of
from api.gateway.faults import Fault
from api.gateway.fitting import fitted
from api.gateway.json_bytes import dumps, loads
from api.gateway.kinds import EMBEDDING
from api.gateway.transport import Reply, TransportFault
from api.gateway.upstream import Upstream
from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.errors import BadUpstream
from common.settings import Settings

# After the last event a connection that ends properly can be used again; it is not waited for longer.
LAST_BYTES_SECONDS = 0.5


class Passing:
    """The way to the models of one server."""

    def __init__(self, upstream: Upstream, settings: Settings) -> None:
        self._upstream = upstream
        self._settings = settings

    async def whole(self, asked: Asked, entry: ModelEntry) -> Whole:
        """See `Way.whole`."""
        body = _written(asked, entry)
        started = time.perf_counter()
        raw = await self._upstream.whole(asked.kind.path, body, self._timeout_seconds(entry))
        waited_seconds = time.perf_counter() - started
        try:
            answer = loads(raw)
            response_model = model_named(answer)
            if asked.kind is EMBEDDING:
                answer = conform_embeddings(answer, _texts(asked), entry.id)
            else:
                answer = conform_answer(answer, asked.kind, entry.id)
        except ValueError as error:
            why = f": {error}" if isinstance(error, Garbled) else ""
            raise Fault(BadUpstream(f"{self._upstream.name} sent something that is not an answer{why}.")) from None
        counted = answer.get("usage")
        return Whole(dumps(answer), usage_of(counted), reasoning_tokens_of(counted), waited_seconds, response_model)

    async def stream(self, asked: Asked, entry: ModelEntry) -> Stream:
        """See `Way.stream`."""
        body = _written(asked, entry)
        timeout_seconds = self._timeout_seconds(entry)
        started = time.perf_counter()
        reply = await self._upstream.post(asked.kind.path, body, timeout_seconds)
        chunks = Chunks(asked.kind, self._upstream.name, entry.id, wants_usage=asked.wants_usage, choices=asked.choices)
        passed = PassedStream(self._upstream, reply, chunks, timeout_seconds)
        try:
            await passed.open(started)
        except BaseException:
            reply.close()
            raise
        return passed

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    def _timeout_seconds(self, entry: ModelEntry) -> float:
        return self._settings.local_model_timeout / 1000 if entry.local else self._settings.ultra_call_timeout_seconds


class PassedStream:
    """See `Stream`."""

    def __init__(self, upstream: Upstream, reply: Reply, chunks: Chunks, timeout_seconds: float) -> None:
        self._upstream = upstream
        self._reply = reply
        self._chunks = chunks
        self._timeout_seconds = timeout_seconds
        self._first = b""
        self.waited_seconds = 0.0

    @property
    def usage(self) -> Usage | None:
        """See `Stream.usage`."""
        return self._chunks.usage

    @property
    def reasoning_tokens(self) -> int | None:
        """See `Stream.reasoning_tokens`."""
        return self._chunks.reasoning_tokens

    @property
    def response_model(self) -> str | None:
        """See `Stream.response_model`."""
        return self._chunks.response_model

    async def open(self, started: float) -> None:
        """Read up to the first token; the request was sent at `started`, of time.perf_counter.

        Raises:
            Fault: it never comes.
        """
        chunks = self._chunks
        while not chunks.has_begun:
            piece = await self._upstream.piece(self._reply, self._timeout_seconds)
            self.waited_seconds = time.perf_counter() - started
            if not piece:
                self._first = chunks.end()
                return
            self._first = chunks.feed(piece)
            if chunks.fault is not None:
                raise chunks.fault  # whatever came before it: nobody has seen that yet

    async def blocks(self) -> AsyncGenerator[bytes]:
        """See `Stream.blocks`."""
        chunks = self._chunks
        if self._first:
            yield self._first
        while not chunks.is_done:
            piece = await self._upstream.piece(self._reply, self._timeout_seconds)
            if not piece:
                break
            if events := chunks.feed(piece):
                yield events
            if chunks.fault is not None:
                raise chunks.fault
        if last := chunks.end():
            yield last

    async def close(self) -> None:
        """See `Stream.close`."""
        try:
            if self._chunks.is_done and not self._reply.is_over():
                with suppress(TimeoutError, TransportFault):
                    async with asyncio.timeout(LAST_BYTES_SECONDS):
                        while await self._reply.piece():
                            continue
        finally:
            self._reply.close()


def _written(asked: Asked, entry: ModelEntry) -> bytes:
    return orjson.dumps(fitted(asked, entry))


def _texts(asked: Asked) -> int | None:
    """How many texts are to be embedded; a list of numbers is the tokens of one."""
    given = asked.body.get("input")
    return len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1
