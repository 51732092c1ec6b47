"""Google's Gemini API, by its own REST interface.

No SDK: google-genai brings google-auth, requests, websockets and retries of its own for what is one streamed
POST. What is asked and what comes back are written and read next door, without a connection:
`google_request.py`, `google_answer.py`, `google_errors.py` and `sse.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from common.contracts.calls import Usage
from common.errors import BadUpstream, Timeout
from common.providers.google_answer import Answer, UsageMetadata
from common.providers.google_errors import Complaints
from common.providers.google_request import as_json, embed_body, generate_body, resource
from common.providers.http import Proxies, http_client
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
from common.providers.sse import EventBuffer, EventTooLong
from common.storable import storable

API_VERSION = "v1beta"  # v1 has neither tools nor schemas

LIST_TIMEOUT_SECONDS = 10.0
MODELS_A_PAGE = 1000  # the most that may be asked for
MAX_PAGES = 10  # beyond any list there is; a server that always has more is not followed for ever

TEXTS_A_BATCH = 100  # the most that Google takes

# 1,000 vectors of 4,096 numbers.
MAX_BODY_BYTES = 64 * 1024 * 1024
# Of an error the sentence is wanted, and whatever HTML stands around it.
MAX_ERROR_BYTES = 64 * 1024


class _Embedding(BaseModel):
    values: tuple[float, ...]


class _Embedded(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    embeddings: list[_Embedding]
    usage_metadata: UsageMetadata | None = None


class _Counted(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    total_tokens: int = Field(0, ge=0)  # a zero is left out


class _Model(BaseModel):
    name: str


class _Models(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    models: list[_Model] = []  # a list of none is left out
    next_page_token: str = ""


class Google:
    """Google, or a server that speaks like it. `base_url` ends before `/v1beta`."""

    name = "google"
    features: frozenset[Feature] = EVERYTHING

    def __init__(self, base_url: str, api_key: SecretStr | None, *, proxies: Proxies) -> None:
        """The key goes into a header: URLs end up in logs."""
        secret = api_key.get_secret_value() if api_key else None
        self._base_url = f"{base_url.rstrip('/')}/{API_VERSION}"
        self._headers = {"content-type": "application/json"} | ({"x-goog-api-key": secret} if secret else {})
        self._client = http_client(base_url, proxies)
        self._http = PlainHttp(self.name, self._client, secret)
        self._complaints = Complaints(self.name, secret)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        refuse_unsupported(self, request)
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        answer = Answer(self._complaints, shows_thoughts=request.shows_thoughts)
        events = EventBuffer()
        path, body = f"{resource(request.model)}:streamGenerateContent", generate_body(request)
        try:
            # The deadline is set around each wait and never across a `yield`: there it would strike
            # whatever the consumer is doing.
            async with asyncio.timeout_at(deadline):
                response = await self._open(path, {"alt": "sse"}, body)
            async with aclosing(response), aclosing(response.aiter_bytes()) as pieces:
                is_open = True
                while is_open:
                    async with asyncio.timeout_at(deadline):
                        piece = await self._http.next_piece(pieces)
                    is_open = piece is not None
                    for data in events.end() if piece is None else events.feed(piece):
                        if delta := answer.read(data):
                            yield delta
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None
        except EventTooLong as error:
            raise BadUpstream(f"{self.name} sent {error}.") from error
        yield answer.end()

    async def count_tokens(self, request: ModelRequest) -> int:
        """See `TokenCounter.count_tokens`."""
        refuse_unsupported(self, request)
        model = resource(request.model)
        asked = {"generateContentRequest": {"model": model, **generate_body(request)}}
        try:
            async with asyncio.timeout(request.timeout_seconds):
                return _Counted.model_validate(await self._ask(f"{model}:countTokens", body=asked)).total_tokens
        except TimeoutError:
            raise Timeout(f"{self.name} did not count within {request.timeout_seconds:g} s.") from None
        except ValidationError as error:
            raise BadUpstream(f"{self.name} counted in no form that we know.") from error

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `Provider.embed`. Texts beyond a batch are asked for one batch after the other."""
        vectors: list[tuple[float, ...]] = []
        tokens: list[int] = []
        try:
            async with asyncio.timeout(request.timeout_seconds):
                for start in range(0, len(request.texts), TEXTS_A_BATCH):
                    batch = await self._embedded(request, request.texts[start : start + TEXTS_A_BATCH])
                    vectors += (embedding.values for embedding in batch.embeddings)
                    tokens += [batch.usage_metadata.prompt_token_count] if batch.usage_metadata else []
        except TimeoutError:
            raise Timeout(f"{self.name} did not answer within {request.timeout_seconds:g} s.") from None
        counted = Usage(prompt_tokens=sum(tokens), total_tokens=sum(tokens)) if tokens else None
        return Embeddings(tuple(vectors), counted)

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        names: list[str] = []
        query = {"pageSize": str(MODELS_A_PAGE)}
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                for _ in range(MAX_PAGES):
                    page = _Models.model_validate(await self._ask("models", query))
                    names += [storable(model.name.removeprefix("models/")) for model in page.models]
                    if not page.next_page_token:
                        break
                    query["pageToken"] = page.next_page_token
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models in {LIST_TIMEOUT_SECONDS:g} s.") from None
        except ValidationError as error:
            raise BadUpstream(f"{self.name} listed its models in no form that we know.") from error
        return names

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._client.aclose()

    async def _embedded(self, request: EmbeddingRequest, texts: tuple[str, ...]) -> _Embedded:
        model = resource(request.model)
        body = await self._ask(f"{model}:batchEmbedContents", body=embed_body(model, texts, request.dimensions))
        try:
            embedded = _Embedded.model_validate(body)
        except ValidationError as error:
            raise BadUpstream(f"{self.name} sent vectors in no form that we know.") from error
        if len(embedded.embeddings) != len(texts):
            raise BadUpstream(f"{self.name} sent {len(embedded.embeddings)} vectors for {len(texts)} texts.")
        return embedded

    async def _ask(self, path: str, query: Mapping[str, str] | None = None, body: dict[str, Any] | None = None) -> Any:
        """The whole answer of a method that does not stream."""
        async with aclosing(await self._open(path, query, body)) as response:
            raw = await self._http.beginning(response, MAX_BODY_BYTES)
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:  # one that was cut off at its bound, too
            raise BadUpstream(f"{self.name} sent something that is no JSON.") from error

    async def _open(
        self, path: str, query: Mapping[str, str] | None = None, body: dict[str, Any] | None = None
    ) -> httpx2.Response:
        """POST a body, or GET without one; returns at the headers of a response that is no error."""
        request = self._client.build_request(
            "GET" if body is None else "POST",
            f"{self._base_url}/{path}",
            params=query,
            content=None if body is None else as_json(body),
            headers=self._headers,
        )
        response = await self._http.send(request)
        if response.is_success:
            return response
        async with aclosing(response):
            said = await self._http.beginning(response, MAX_ERROR_BYTES)
        raise self._complaints.refused(response.status_code, response.headers, said)
