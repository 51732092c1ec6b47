"""The adapters under test, and what each one's server can be brought to do."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import httpx
import pytest
from pydantic import SecretStr

from common.contracts.messages import Message
from common.errors import Unsupported
from common.providers.mock import MockProvider
from common.providers.openai_compatible import OpenAICompatible
from common.providers.protocol import Feature, ModelRequest, Provider
from tests.contract.scripted_server import API_KEY, MODELS, ScriptedServer
from tests.contract.troubles import RETRY_AFTER_SECONDS, SAID_BEFORE, SILENT, Trouble

QUESTION = (Message(role="user", content="Tell me a story of two rivers."),)


class Subject(Protocol):
    """An adapter before a server. What the adapter does not support, its `provider.features` say."""

    provider: Provider
    listed: list[str]
    """The models that this server knows."""
    embedding_model: str
    cannot: Mapping[str, str]
    """Features and troubles that the adapter knows and this very server does not show, each with the reason."""

    def asked(self, **fields: Any) -> ModelRequest:
        """A request that is answered well."""
        ...

    def endless(self, **fields: Any) -> ModelRequest:
        """A request whose answer begins, and goes on for longer than any test waits."""
        ...

    async def is_idle(self) -> bool:
        """Whether the server has stopped working for us."""
        ...


class Troubled(Subject, Protocol):
    """An adapter whose server makes trouble to order."""

    def troubled(self, trouble: Trouble) -> ModelRequest:
        """A request that meets it, with a short deadline where the trouble is silence."""
        ...

    async def until_asked(self) -> None:
        """Return when a request has reached the server."""
        ...


def require(subject: Subject, shown: str) -> None:
    """Skip where the server cannot show that feature or trouble."""
    if shown in subject.cannot:
        pytest.skip(subject.cannot[shown])


@contextmanager
def offered(subject: Subject, *features: Feature) -> Iterator[None]:
    """What stands in the block holds. Where the provider lacks a feature, Unsupported names it instead."""
    for feature in features:
        if feature not in subject.provider.features:
            with pytest.raises(Unsupported, match=feature.replace("_", " ")):
                yield
            return
        require(subject, feature)
    yield


class MockSubject:
    """It has no server: what troubles it is ordered in the request."""

    listed: ClassVar[list[str]] = []
    embedding_model = "mock-a"
    cannot: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.provider = MockProvider()

    def asked(self, **fields: Any) -> ModelRequest:
        return ModelRequest(**{"model": "mock-a", "messages": QUESTION, **fields})

    def endless(self, **fields: Any) -> ModelRequest:
        return self.asked(extra={"tokens": 10_000, "tokens_per_second": 20}, **fields)

    def troubled(self, trouble: Trouble) -> ModelRequest:
        return self.asked(extra=MOCK_ORDERS[trouble], timeout_seconds=deadline_seconds(trouble))

    async def until_asked(self) -> None:
        await asyncio.sleep(0)

    async def is_idle(self) -> bool:
        return len(asyncio.all_tasks()) == 1


_HALFWAY = {"tokens": 100, "fail_after_tokens": len(SAID_BEFORE.split())}
_BROKEN = {**_HALFWAY, "error": "bad_upstream"}
MOCK_ORDERS: dict[Trouble, dict[str, Any]] = {
    Trouble.RATE_LIMITED: {"error": "rate_limited", "retry_after_seconds": RETRY_AFTER_SECONDS},
    Trouble.SERVER_ERROR: {"error": "unavailable"},
    Trouble.OVERLOADED: {"error": "unavailable"},
    Trouble.AWAY: {"error": "unavailable", "retry_after_seconds": RETRY_AFTER_SECONDS},
    Trouble.WRONG_KEY: {"error": "upstream_denied"},
    Trouble.NO_SUCH_MODEL: {"error": "upstream_model_missing"},
    Trouble.TOO_LONG: {"error": "context_too_long"},
    Trouble.REFUSED: {"error": "content_refused"},
    Trouble.NO_RESPONSE: {"latency_seconds": 3600},
    Trouble.SLOW_FIRST_TOKEN: {"latency_seconds": 3600},
    Trouble.STALL: {"tokens_per_second": 0.01},
    Trouble.DISCONNECT: _BROKEN,
    Trouble.TRUNCATED: _BROKEN,
    Trouble.BROKEN_JSON: _BROKEN,
    Trouble.BROKEN_SHAPE: _BROKEN,
    Trouble.BROKEN_UTF8: _BROKEN,
    Trouble.ERROR_HALFWAY: {**_HALFWAY, "error": "unavailable"},
}


class ScriptedSubject:
    """The OpenAI-compatible adapter before our own server."""

    listed = MODELS
    embedding_model = MODELS[0]
    cannot: ClassVar[Mapping[str, str]] = {}

    def __init__(self, server: ScriptedServer, provider: Provider) -> None:
        self.server = server
        self.provider = provider

    def asked(self, **fields: Any) -> ModelRequest:
        return ModelRequest(**{"model": MODELS[0], "messages": QUESTION, **fields})

    def endless(self, **fields: Any) -> ModelRequest:
        return self.asked(model=Trouble.STALL, **fields)

    def troubled(self, trouble: Trouble) -> ModelRequest:
        return self.asked(model=trouble, timeout_seconds=deadline_seconds(trouble))

    async def until_asked(self) -> None:
        await self.server.was_asked.wait()

    async def is_idle(self) -> bool:
        return all(exchange.client_left.is_set() for exchange in self.server.exchanges)


class ModelRunnerSubject:
    """The same adapter before llama.cpp and a real small model."""

    listed: ClassVar[list[str]] = ["ai/smollm2"]
    embedding_model = "ai/smollm2"
    cannot: ClassVar[Mapping[str, str]] = {
        "tools": "the small model's chat template has no place for tools, so llama.cpp leaves them out",
        "images": "the small model sees nothing: llama.cpp was given no projector for it",
        "embeddings": "llama.cpp embeds only when it is started for that, and then it does not chat",
    }

    def __init__(self, url: str, provider: Provider) -> None:
        self._slots_url = url.removesuffix("/v1") + "/slots"
        self.provider = provider

    def asked(self, **fields: Any) -> ModelRequest:
        # Greedy and without the cache of prompts, which rounds otherwise: the same answer every time.
        steady = {"temperature": 0, "extra": {"cache_prompt": False}}
        return ModelRequest(**{"model": "ai/smollm2", "messages": QUESTION, **steady, **fields})

    def endless(self, **fields: Any) -> ModelRequest:
        # An ignored end of text is how llama.cpp is made to go on until its context is full.
        return self.asked(extra={"ignore_eos": True}, **fields)

    async def is_idle(self) -> bool:
        async with httpx.AsyncClient(timeout=60) as client:
            slots = (await client.get(self._slots_url)).json()
        return not any(slot["is_processing"] for slot in slots)


def openai_compatible(url: str) -> OpenAICompatible:
    """The adapter, with a key that no error may show."""
    return OpenAICompatible("model server", url, SecretStr(API_KEY))


def deadline_seconds(trouble: Trouble) -> float:
    return 0.3 if trouble in SILENT else 20
