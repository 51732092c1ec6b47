"""Any server that speaks OpenAI's chat completions: Docker Model Runner, llama.cpp, vLLM, OpenAI itself.

The SDK brings the connection, the authentication and the event stream; what is sent and what comes back
is ours, in `openai_request` and `openai_answer`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
from pydantic import SecretStr

from common.errors import BadUpstream, Timeout, Unsupported
from common.providers.http import Proxies, http_client
from common.providers.openai_answer import Answer, Chunk, EmbeddingsBody, ModelsBody
from common.providers.openai_errors import translated
from common.providers.openai_request import chat_body, embedding_body
from common.providers.protocol import (
    EVERYTHING,
    Delta,
    EmbeddingRequest,
    Embeddings,
    Feature,
    ModelRequest,
    refuse_unsupported,
)

LIST_TIMEOUT_SECONDS = 10.0


class OpenAICompatible:
    """One server."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: SecretStr | None = None,
        *,
        proxies: Proxies = Proxies(),  # noqa: B008  # immutable
        features: frozenset[Feature] = EVERYTHING,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        """`base_url` ends before `/chat/completions`, and may have any path before that.

        A `client` that is given is closed by its giver.
        """
        self.name = name
        self.features = features
        self._secret = api_key.get_secret_value() if api_key else None
        self._client = _Client(
            base_url=base_url,
            api_key=self._secret or "none",  # the SDK insists on one
            max_retries=0,  # retries are the engine's alone
            http_client=client or http_client(base_url, proxies),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        refuse_unsupported(self, request)
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        answer = Answer(self.name)
        try:
            # The deadline is set around each wait and never across a `yield`: there it would strike
            # whatever the consumer is doing.
            async with asyncio.timeout_at(deadline):
                response = await self._open(request)
            async with response:
                events = aiter(response)
                while True:
                    async with asyncio.timeout_at(deadline):
                        chunk = await self._next_chunk(events)
                    if chunk is None:
                        break
                    for delta in answer.feed(chunk):
                        yield delta
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None
        yield answer.end()

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `Provider.embed`."""
        if "embeddings" not in self.features:
            raise Unsupported(f"{self.name} does not support embeddings.")
        try:
            async with asyncio.timeout(request.timeout_seconds):
                with self._translating("vectors"):
                    body = await self._client.post("/embeddings", body=embedding_body(request), cast_to=object)
                    return EmbeddingsBody.model_validate(body).of(len(request.texts))
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                with self._translating("a list of models"):
                    return ModelsBody.model_validate(await self._client.get("/models", cast_to=object)).names
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models in {LIST_TIMEOUT_SECONDS:g} s.") from None

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._client.close()

    async def _open(self, request: ModelRequest) -> "openai.AsyncStream[object]":
        """Send the request; returns at the response's headers, before the first token.

        A cancellation until then closes the connection, by which the server knows.
        """
        with self._translating("an answer"):
            return await self._client.post(
                "/chat/completions",
                body=chat_body(request),
                cast_to=object,
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )

    async def _next_chunk(self, events: AsyncIterator[object]) -> Chunk | None:
        """The next chunk, or None after the last."""
        with self._translating("a chunk of an answer"):
            try:
                return Chunk.model_validate(await anext(events))
            except StopAsyncIteration:
                return None

    @contextmanager
    def _translating(self, expected: str) -> Iterator[None]:
        """Foreign errors in our tree; what cannot be read is none of what was `expected`."""
        try:
            yield
        except (openai.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error
        except ValueError as error:  # broken JSON, broken UTF-8, fields of other types
            raise BadUpstream(f"{self.name} sent something that is not {expected}.") from error


class _Client(openai.AsyncOpenAI):
    """The SDK's client, without what it would tell every server.

    It reads an organization, a project and further headers from variables that were set with OpenAI in mind,
    and describes this machine.
    """

    @property
    def default_headers(self) -> dict[str, Any]:
        return {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "ultrallm"}
