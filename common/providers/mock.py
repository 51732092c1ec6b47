"""Answers without a model: deterministic, for demonstrations, tests and benchmarks (`USE_MOCK`, `mock-*`).

What is answered follows from what is asked. How it is answered is set in the catalog entry's
`parameters.extra`:

| name              | meaning                                                          |
| ----------------- | ---------------------------------------------------------------- |
| latency_seconds   | wait before the first token                                      |
| tokens_per_second | stream word by word at this rate; all at once if left out        |
| tokens            | length of the answer in words                                    |
| error             | fail with this code of the provider errors, `rate_limited` say   |
| error_rate        | fail this share of the requests only; 1 if left out              |
| retry_after       | seconds that the failure asks to wait                            |
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.contracts.calls import Usage
from common.errors import ProviderError, Timeout, UpstreamRejected
from common.providers.protocol import Delta, ModelRequest
from common.providers.schema_example import example_of

WORDS = [
    "a",
    "model",
    "answers",
    "what",
    "it",
    "was",
    "asked",
    "and",
    "this",
    "one",
    "makes",
    "up",
    "nothing",
    "it",
    "counts",
    "words",
    "and",
    "keeps",
    "its",
    "promise",
    "to",
    "say",
    "the",
    "same",
    "thing",
    "whenever",
    "the",
    "same",
    "question",
    "comes",
    "by",
    "so",
    "that",
    "tests",
    "may",
    "rely",
    "on",
    "every",
    "letter",
    "of",
    "it",
]


class Behaviour(BaseModel):
    """How a mock model behaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_seconds: float = Field(0, ge=0, le=3600)
    tokens_per_second: float | None = Field(None, gt=0)
    tokens: int = Field(24, ge=1, le=100_000)
    error: str | None = None
    error_rate: float = Field(1, ge=0, le=1)
    retry_after: float | None = Field(None, ge=0)


class MockProvider:
    """A provider that needs no server."""

    name = "mock"

    def __init__(self) -> None:
        # Seeded, so that a flaky model fails at the same requests in every run.
        self._dice = random.Random(0)  # noqa: S311

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """The answer, all at once or word by word. See `Provider.stream`."""
        behaviour = _behaviour(request)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                if behaviour.latency_seconds:
                    await asyncio.sleep(behaviour.latency_seconds)
                self._maybe_fail(behaviour)
                words = _answer(request, behaviour)
                if behaviour.tokens_per_second is None:
                    yield Delta(text=" ".join(words))
                else:
                    for place, word in enumerate(words):
                        await asyncio.sleep(1 / behaviour.tokens_per_second)
                        yield Delta(text=word if place == 0 else f" {word}")
        except TimeoutError:
            raise Timeout(f"The mock did not answer within {request.timeout_seconds:g} s.") from None
        yield Delta(finish_reason="stop", usage=_usage(request, len(words)))

    async def list_models(self) -> list[str]:
        """None in particular: a mock answers to every name."""
        return []

    async def close(self) -> None:
        """Nothing to release."""

    def _maybe_fail(self, behaviour: Behaviour) -> None:
        if behaviour.error is not None and self._dice.random() < behaviour.error_rate:
            fault = _FAULTS.get(behaviour.error, ProviderError)
            raise fault(f"The mock was told to fail: {behaviour.error}.", retry_after_seconds=behaviour.retry_after)


_FAULTS = {fault.code: fault for fault in ProviderError.__subclasses__()}


def _behaviour(request: ModelRequest) -> Behaviour:
    if not request.extra:
        return _PLAIN
    try:
        return Behaviour.model_validate(request.extra)
    except ValidationError as error:
        raise UpstreamRejected(f"Not a mock's behaviour: {error.errors()[0]['msg']}") from None


_PLAIN = Behaviour()


def _answer(request: ModelRequest, behaviour: Behaviour) -> list[str]:
    asked = orjson.dumps([request.model, *(message.content for message in request.messages)])
    start = int.from_bytes(hashlib.sha256(asked).digest()[:4])
    if request.schema is not None:
        return orjson.dumps(example_of(request.schema, start)).decode().split(" ")
    length = min(behaviour.tokens, request.max_tokens or behaviour.tokens)
    said = [WORDS[(start + place) % len(WORDS)] for place in range(length)]
    return [f"{request.model}:", *said]


def _usage(request: ModelRequest, completion_tokens: int) -> Usage:
    prompt_tokens = sum(len(message.content.split()) for message in request.messages)
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
    )
