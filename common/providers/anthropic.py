"""Anthropic's Messages API, by its SDK.

The SDK brings the connection and the event stream. Requests are written and events read by the modules
beside this one, rather than through the SDK's models, which accept anything: an event that is no event
must not pass for an empty piece of an answer.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import anthropic
import httpx2
from pydantic import BaseModel, Field, SecretStr

from common.errors import BadUpstream, Timeout, Unsupported
from common.providers.anthropic_errors import translated
from common.providers.anthropic_events import MessageReader
from common.providers.anthropic_request import body, count_body
from common.providers.http import Proxies, http_client
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

# The last version of the API with `temperature` and `top_p`, which the models that have them still take. In
# the SDK's own, 2026-10-21, either is an error, whatever the model. Servers of others know this one best.
API_VERSION = "2023-06-01"

LIST_TIMEOUT_SECONDS = 10.0
MODELS_A_PAGE = 1000  # the most that may be asked for
MAX_PAGES = 10  # beyond any list there is; a server that always has more is not followed for ever


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]
    has_more: bool = False
    last_id: str | None = None


class _Counted(BaseModel):
    input_tokens: int = Field(ge=0)


class _Client(anthropic.AsyncAnthropic):
    """The SDK's client with headers of ours, none from ANTHROPIC_CUSTOM_HEADERS: a key might be among those."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._custom_headers = {"anthropic-version": API_VERSION}

    @property
    def auth_headers(self) -> dict[str, str]:
        """As this version of the API documents it."""
        return {"x-api-key": self.api_key or ""}


class Anthropic:
    """Anthropic, or a server that speaks like it. `base_url` ends before `/v1`."""

    name = "anthropic"
    features: frozenset[Feature] = EVERYTHING - {"embeddings", "seed"}

    def __init__(self, base_url: str, api_key: SecretStr | None, *, proxies: Proxies) -> None:
        # Keys come from files that end in a line break, which no header can.
        self._secret = api_key.get_secret_value().strip() if api_key else None
        self._client = _Client(
            base_url=base_url,
            # Given a key, the SDK looks for none in the environment and in files of the home directory.
            api_key=self._secret or "none",
            max_retries=0,  # retries are the engine's alone
            http_client=http_client(base_url, proxies),
            open_telemetry=False,  # a call's span is ours, and its words are not for others' traces
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        refuse_unsupported(self, request)
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        reader = MessageReader(self.name, shows_thoughts=request.shows_thoughts)
        try:
            # The deadline is set around each wait and never across a `yield`: there it would strike
            # whatever the consumer is doing.
            async with asyncio.timeout_at(deadline):
                response = await self._open(request)
            async with response:
                while True:
                    async with asyncio.timeout_at(deadline):
                        event = await self._next_event(response)
                    if event is None:
                        break
                    if delta := reader.feed(event):
                        yield delta
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None
        yield reader.last()

    async def count_tokens(self, request: ModelRequest) -> int:
        """See `TokenCounter.count_tokens`."""
        refuse_unsupported(self, request)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                said = await self._client.post("/v1/messages/count_tokens", body=count_body(request), cast_to=object)
            return _Counted.model_validate(said).input_tokens
        except TimeoutError:
            raise Timeout(f"{self.name} did not count within {request.timeout_seconds:g} s.") from None
        except (anthropic.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error
        except ValueError as error:  # broken JSON, broken UTF-8, fields of other types
            raise BadUpstream(f"{self.name} counted in no form that we know.") from error

    async def embed(self, request: EmbeddingRequest) -> Embeddings:  # noqa: ARG002  # the protocol's name
        """Anthropic has none."""
        raise Unsupported(f"{self.name} does not support embeddings.")

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        names: list[str] = []
        after: dict[str, str] = {}
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                for _ in range(MAX_PAGES):
                    page = await self._page({"limit": MODELS_A_PAGE, **after})
                    names += [storable(model.id) for model in page.data]
                    if not page.has_more or page.last_id is None:
                        break
                    after = {"after_id": page.last_id}
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models in {LIST_TIMEOUT_SECONDS:g} s.") from None
        return names

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._client.close()

    async def _open(self, request: ModelRequest) -> "anthropic.AsyncStream[object]":
        """Send the request; returns at the response's headers, before the first token.

        A cancellation until then closes the connection, by which the server knows.
        """
        try:
            return await self._client.post(
                "/v1/messages",
                body=body(request),
                cast_to=object,
                stream=True,
                stream_cls=anthropic.AsyncStream[object],
            )
        except (anthropic.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error

    async def _next_event(self, response: "anthropic.AsyncStream[object]") -> object | None:
        """The next event, or None after the last. The SDK lets `ping` pass, and raises at `error`."""
        try:
            return await anext(response)
        except StopAsyncIteration:
            return None
        except (anthropic.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error
        except ValueError as error:  # broken JSON, broken UTF-8
            raise BadUpstream(f"{self.name} sent something that is no piece of an answer.") from error

    async def _page(self, query: dict[str, object]) -> _Models:
        try:
            return _Models.model_validate(
                await self._client.get("/v1/models", cast_to=object, options={"params": query})
            )
        except (anthropic.APIError, httpx2.RequestError) as error:
            raise translated(error, server=self.name, secret=self._secret) from error
        except ValueError as error:  # broken JSON, broken UTF-8, fields of other types
            raise BadUpstream(f"{self.name} listed its models in no form that we know.") from error
