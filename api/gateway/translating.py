"""Translating: a request to a model whose server speaks otherwise, through its adapter of common/providers."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from api.gateway.answers import Stream, Whole
from api.gateway.asked import Asked
from api.gateway.calling import call_of, unsupported
from api.gateway.embedding import embedding_request
from api.gateway.faults import Fault
from api.gateway.kinds import EMBEDDING
from api.gateway.rendering import ChunkWriter, answer_document, embeddings_document
from api.gateway.thinking import insisted_on
from common.catalog.entry import ModelEntry
from common.contracts.calls import Call, Usage
from common.errors import ProviderError, Timeout
from common.providers.complete import joined
from common.providers.protocol import Delta, Feature, ModelRequest, Provider, TokenCounter
from common.providers.registry import Providers

# An adapter's deadline is for the whole answer. Here it is for each wait, and this for the whole.
LONGEST_ANSWER_SECONDS = 3600.0

# What a client asked for where an adapter lacks the feature.
PARAMETERS: dict[Feature, str] = {
    "tools": "tools",
    "tool_choice": "tool_choice",
    "json_schema": "response_format",
    "images": "messages",
    "seed": "seed",
    "stop": "stop",
}


class Translating:
    """The way to every model that has an adapter."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def whole(self, asked: Asked, entry: ModelEntry) -> Whole:
        """See `Way.whole`."""
        if asked.kind is EMBEDDING:
            return await self._vectors(asked, entry)
        provider, request = await self._prepare(asked, entry)
        started = time.perf_counter()
        try:
            completion = await joined(_paced(provider, request))
        except ProviderError as error:  # it has no end
            raise Fault(error) from error
        waited_seconds = time.perf_counter() - started
        document = answer_document(asked.kind, entry.id, completion)
        return Whole(document, completion.usage, None, waited_seconds)

    async def stream(self, asked: Asked, entry: ModelEntry) -> Stream:
        """See `Way.stream`."""
        provider, request = await self._prepare(asked, entry)
        writer = ChunkWriter(asked.kind, entry.id)
        stream = TranslatedStream(_paced(provider, request), writer, wants_usage=asked.wants_usage)
        try:
            await stream.open()
        except BaseException:
            await stream.close()
            raise
        return stream

    async def count_tokens(self, asked: Asked, entry: ModelEntry) -> int | None:
        """The tokens of what this model would be shown; None if its server does not count without answering.

        Raises:
            Fault: it did not answer.
            InvalidInput: the request is wrong; names the parameter.
        """
        provider, request = await self._prepare(asked, entry)
        if not isinstance(provider, TokenCounter):
            return None
        try:
            return await provider.count_tokens(request)
        except ProviderError as error:
            raise Fault(error) from error

    async def _prepare(self, asked: Asked, entry: ModelEntry) -> tuple[Provider, ModelRequest]:
        call = call_of(asked, entry.id)
        provider = await self._providers.get(entry)
        _refuse_unsupported(provider, entry, call)
        if call.reasoning is not None and not _can_be_told_to_think(provider, entry):
            if parameter := insisted_on(asked):
                raise unsupported(parameter)
            call = call.model_copy(update={"reasoning": None})
        return provider, self._providers.request_for(entry, call)

    async def _vectors(self, asked: Asked, entry: ModelEntry) -> Whole:
        timeout_seconds = self._providers.request_for(entry, Call(model=entry.id, messages=())).timeout_seconds
        request = embedding_request(asked, self._providers.served_name(entry), timeout_seconds)
        provider = await self._providers.get(entry)
        if "embeddings" not in provider.features:
            raise unsupported("model", "embeddings")
        started = time.perf_counter()
        try:
            embeddings = await provider.embed(request)
        except ProviderError as error:
            raise Fault(error) from error
        waited_seconds = time.perf_counter() - started
        is_base64 = asked.body.get("encoding_format") == "base64"
        return Whole(
            embeddings_document(embeddings, entry.id, is_base64=is_base64), embeddings.usage, None, waited_seconds
        )


class TranslatedStream:
    """See `Stream`."""

    reasoning_tokens: int | None = None
    response_model: str | None = None

    def __init__(self, deltas: AsyncGenerator[Delta], writer: ChunkWriter, *, wants_usage: bool) -> None:
        self._deltas = deltas
        self._writer = writer
        self._wants_usage = wants_usage
        self._first: list[Delta] = []
        self.usage: Usage | None = None
        self.waited_seconds = 0.0

    async def open(self) -> None:
        """Wait for the first token.

        Raises:
            Fault: it never comes.
        """
        started = time.perf_counter()
        while (delta := await self._next()) is not None:
            self._first.append(delta)
            if delta.text or delta.thoughts or delta.tool_calls or delta.finish_reason:
                break
        self.waited_seconds = time.perf_counter() - started

    async def blocks(self) -> AsyncGenerator[bytes]:
        """See `Stream.blocks`."""
        if events := self._writer.events(self._first):
            yield events
        while (delta := await self._next()) is not None:
            if events := self._writer.events((delta,)):
                yield events
        if self._wants_usage and self.usage is not None:
            yield self._writer.usage(self.usage)

    async def close(self) -> None:
        """See `Stream.close`."""
        await self._deltas.aclose()

    async def _next(self) -> Delta | None:
        delta = await anext(self._deltas, None)
        if delta is not None:
            self.usage = delta.usage or self.usage
        return delta


async def _paced(provider: Provider, request: ModelRequest) -> AsyncGenerator[Delta]:
    """The answer. The request's time is that of each wait for a piece of it, and not of the whole.

    Raises:
        Fault: a piece did not come, or the adapter failed.
    """
    seconds = request.timeout_seconds
    async with aclosing(provider.stream(replace(request, timeout_seconds=LONGEST_ANSWER_SECONDS))) as deltas:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    delta = await anext(deltas, None)
            except TimeoutError:
                raise Fault(Timeout(f"{provider.name} was silent for {seconds:g} s.")) from None
            except ProviderError as error:
                raise Fault(error) from error
            if delta is None:
                return
            yield delta


def _can_be_told_to_think(provider: Provider, entry: ModelEntry) -> bool:
    """Mocks that stand in for real models take everything."""
    if provider.name == "mock" and entry.provider != "mock":
        return True
    return "reasoning" in provider.features and entry.reasoning is not None


def _refuse_unsupported(provider: Provider, entry: ModelEntry, call: Call) -> None:
    """Refuse by name what this model, or its server, cannot do.

    Raises:
        Fault: Unsupported; names the parameter.
    """
    is_mock = provider.name == "mock"
    asked: dict[Feature, bool] = {
        "tools": bool(call.tools),
        "tool_choice": bool(call.tools) and call.tool_choice not in {None, "auto", "none"},
        "json_schema": call.schema_ is not None,
        "images": any(message.images for message in call.messages),
        "seed": call.parameters.seed is not None,
        "stop": bool(call.parameters.stop),
    }
    has: dict[Feature, bool] = {
        "tools": is_mock or entry.can("tools"),
        "json_schema": is_mock or entry.can("json_schema"),
        "images": is_mock or entry.can("vision"),
    }
    for feature, is_asked in asked.items():
        if is_asked and not (feature in provider.features and has.get(feature, True)):
            raise unsupported(PARAMETERS[feature])
