"""Ollama by its own API: `/api/chat` streams JSON a line, `/api/embed` and `/api/tags` answer in one piece.

What is asked and what comes back are read and written next door, without a connection: `ollama_request.py`,
`ollama_answer.py` and `ollama_errors.py`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import orjson
from pydantic import BaseModel, ValidationError

from common.contracts.calls import Usage
from common.errors import BadUpstream, Timeout
from common.providers.http import Proxies, http_client
from common.providers.ndjson import LineBuffer, LineTooLong
from common.providers.ollama_answer import Answer
from common.providers.ollama_errors import Complaints
from common.providers.ollama_request import as_json, chat_body, embed_body
from common.providers.plain_http import PlainHttp
from common.providers.protocol import (
    EVERYTHING,
    Delta,
    EmbeddingRequest,
    Embeddings,
    Feature,
    ModelRequest,
    refuse_unsupported,
)
from common.storable import storable

LIST_TIMEOUT_SECONDS = 10.0

# 1,000 vectors of 4,096 numbers.
MAX_BODY_BYTES = 64 * 1024 * 1024
# Of an error the sentence is wanted, and whatever HTML stands around it.
MAX_ERROR_BYTES = 64 * 1024


class _Embedded(BaseModel):
    embeddings: tuple[tuple[float, ...], ...]
    prompt_eval_count: int | None = None


class _Model(BaseModel):
    name: str


class _Tags(BaseModel):
    models: list[_Model]


class Ollama:
    """One server."""

    name = "ollama"
    features: frozenset[Feature] = EVERYTHING - {"tool_choice"}

    def __init__(self, base_url: str, *, proxies: Proxies = Proxies()) -> None:  # noqa: B008  # immutable
        """`base_url` ends before `/api`."""
        self._base_url = base_url.rstrip("/")
        self._secret = unquote(urlsplit(base_url).password or "") or None
        self._client = http_client(base_url, proxies)
        self._http = PlainHttp(self.name, self._client, self._secret)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        refuse_unsupported(self, request)
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        complaints = self._complaints(request.model)
        answer = Answer(complaints, shows_thoughts=request.shows_thoughts)
        buffer = LineBuffer()
        try:
            # The deadline is set around each wait and never across a `yield`: there it would strike
            # whatever the consumer is doing.
            async with asyncio.timeout_at(deadline):
                response = await self._open("/api/chat", chat_body(request), complaints)
            async with aclosing(response), aclosing(response.aiter_bytes()) as pieces:
                while not answer.is_whole:
                    async with asyncio.timeout_at(deadline):
                        piece = await self._http.next_piece(pieces)
                    for line in buffer.end() if piece is None else buffer.feed(piece):
                        if delta := answer.read(line):
                            yield delta
                    if piece is None:
                        break
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None
        except LineTooLong as error:
            raise BadUpstream(f"{self.name} sent {error}.") from error
        yield answer.end()

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `Provider.embed`."""
        try:
            async with asyncio.timeout(request.timeout_seconds):
                body = await self._ask("/api/embed", embed_body(request), self._complaints(request.model))
            embedded = _Embedded.model_validate(body)
        except TimeoutError:
            raise Timeout(f"{self.name} did not answer within {request.timeout_seconds:g} s.") from None
        except ValidationError as error:
            raise BadUpstream(f"{self.name} sent vectors in no form that we know.") from error
        if len(embedded.embeddings) != len(request.texts):
            raise BadUpstream(f"{self.name} sent {len(embedded.embeddings)} vectors for {len(request.texts)} texts.")
        return Embeddings(embedded.embeddings, _usage(embedded.prompt_eval_count))

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                body = await self._ask("/api/tags", None, self._complaints())
            return [storable(model.name) for model in _Tags.model_validate(body).models]
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models in {LIST_TIMEOUT_SECONDS:g} s.") from None
        except ValidationError as error:
            raise BadUpstream(f"{self.name} listed its models in no form that we know.") from error

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._client.aclose()

    async def _ask(self, path: str, body: dict[str, Any] | None, complaints: Complaints) -> Any:
        """The whole answer of an endpoint that does not stream."""
        async with aclosing(await self._open(path, body, complaints)) as response:
            raw = await self._http.beginning(response, MAX_BODY_BYTES)
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:  # one that was cut off at its bound, too
            raise BadUpstream(f"{self.name} sent something that is no JSON.") from error

    async def _open(self, path: str, body: dict[str, Any] | None, complaints: Complaints) -> httpx2.Response:
        """Send a body, or GET without one; returns at the headers of a response that is no error.

        A cancellation until then closes the connection, by which the server knows.
        """
        request = self._client.build_request(
            "GET" if body is None else "POST",
            self._base_url + path,
            content=None if body is None else as_json(body),
            headers={"content-type": "application/json"},
        )
        response = await self._http.send(request)
        if response.is_success:
            return response
        async with aclosing(response):
            said = await self._http.beginning(response, MAX_ERROR_BYTES)
        raise complaints.refused(response.status_code, response.headers, said)

    def _complaints(self, model: str = "") -> Complaints:
        return Complaints(self.name, model, self._secret)


def _usage(prompt_tokens: int | None) -> Usage | None:
    return None if prompt_tokens is None else Usage(prompt_tokens=prompt_tokens, total_tokens=prompt_tokens)
