"""Any server that speaks OpenAI's chat completions: Docker Model Runner, llama.cpp, vLLM, OpenAI itself.

The SDK brings the connection, the authentication and the event stream. Chunks are read through the few
fields below rather than through the SDK's models: those accept anything, and a chunk that is no chunk
must not pass for an empty piece of an answer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, SecretStr, ValidationError

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContentRefused, Timeout
from common.providers.http import Proxies, http_client
from common.providers.openai_errors import translated
from common.providers.protocol import EVERYTHING, Delta, EmbeddingRequest, Embeddings, Feature, ModelRequest
from common.providers.storable import StorableStream, storable

LIST_TIMEOUT_SECONDS = 10.0

FINISH_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    delta: _Message | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    choices: list[_Choice] | None = None
    usage: Usage | None = None


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class OpenAICompatible:
    """One server. `reasoning_content` is thinking, not answer, and is left out of the text."""

    features: frozenset[Feature] = EVERYTHING

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: SecretStr | None = None,
        *,
        proxies: Proxies = Proxies(),  # noqa: B008  # immutable
    ) -> None:
        """`base_url` ends before `/chat/completions`, and may have any path before that."""
        self.name = name
        self._secret = api_key.get_secret_value() if api_key else None
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=self._secret or "none",  # the SDK insists on one
            max_retries=0,  # retries are the engine's alone
            http_client=http_client(base_url, proxies),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        text = StorableStream()
        finish_reason: str | None = None
        usage: Usage | None = None
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
                    usage = chunk.usage or usage
                    for choice in chunk.choices or ():
                        finish_reason = self._finish_reason(choice) or finish_reason
                        if choice.delta and (piece := text.feed(choice.delta.content or "")):
                            yield Delta(piece)
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None
        if finish_reason is None:
            raise BadUpstream(f"{self.name} broke off in the middle of its answer.")
        yield Delta(text.end(), finish_reason, usage)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `Provider.embed`."""
        raise NotImplementedError

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                listed = await self._client.get("/models", cast_to=object)
            return [storable(model.id) for model in _Models.model_validate(listed).data]
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models in {LIST_TIMEOUT_SECONDS:g} s.") from None
        except (openai.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error
        except ValidationError as error:
            raise BadUpstream(f"{self.name} listed its models in no form that we know.") from error

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._client.close()

    async def _open(self, request: ModelRequest) -> "openai.AsyncStream[object]":
        """Send the request; returns at the response's headers, before the first token.

        A cancellation until then closes the connection, by which the server knows.
        """
        try:
            return await self._client.post(
                "/chat/completions",
                body=_body(request),
                cast_to=object,
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
        except (openai.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error

    async def _next_chunk(self, events: AsyncIterator[object]) -> _Chunk | None:
        """The next chunk, or None after the last."""
        try:
            return _Chunk.model_validate(await anext(events))
        except StopAsyncIteration:
            return None
        except (openai.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error
        except ValueError as error:  # broken JSON, broken UTF-8, fields of other types
            raise BadUpstream(f"{self.name} sent something that is no chunk of an answer.") from error

    def _finish_reason(self, choice: _Choice) -> str | None:
        """One of our four words, or None before the end.

        Raises:
            ContentRefused: the model declined, in the field that OpenAI has for that.
            BadUpstream: the answer ended in a way that we cannot call whole.
        """
        if choice.delta and choice.delta.refusal:
            raise ContentRefused(f"{self.name}'s model declined to answer.")
        if choice.finish_reason is None:
            return None
        if choice.finish_reason not in FINISH_REASONS:
            raise BadUpstream(f"{self.name} ended its answer with {storable(choice.finish_reason)[:40]!r}.")
        return FINISH_REASONS[choice.finish_reason]


def _body(request: ModelRequest) -> dict[str, Any]:
    """The request's JSON. What the catalog's `extra` sets to null is left out, `stream_options` for one."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": storable(message.text)} for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
    }
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": request.schema, "strict": True},
        }
    return {key: value for key, value in (body | request.extra).items() if value is not None}
