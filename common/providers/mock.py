"""The mock: a model without a server. Equal questions get equal answers; trouble comes when it is ordered.

For demonstrations, tests and benchmarks, so an answer without ordered delays costs microseconds.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.contracts.calls import Usage
from common.contracts.messages import Tool
from common.errors import ProviderError, Timeout, UpstreamRejected
from common.providers.mock_json import document
from common.providers.protocol import (
    EVERYTHING,
    Delta,
    EmbeddingRequest,
    Embeddings,
    Feature,
    ModelRequest,
    ToolCallDelta,
)

# 64, so that a byte of the digest picks one without favour.
WORDS = (  # noqa: SIM905  # one word a line is 64 lines
    "a the one each some every this that light water stone river signal pattern answer question method "
    "reason result model measure number order change point line field wave part whole form rule "
    "moves holds shows keeps gives takes turns meets joins splits grows falls follows leads "
    "slowly often clearly together apart first then because while where under over between across "
    "small large simple plain"
).split()

EMBEDDING_DIMENSIONS = 64
# They are made while everybody else waits: some 30 ms.
MAX_NUMBERS = 262_144

ERRORS = {error.code: error for error in ProviderError.__subclasses__()}


class Behaviour(BaseModel):
    """What a mock entry's `parameters.extra` may order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_seconds: float = Field(0, ge=0, description="Before the first token.")
    tokens: int = Field(32, ge=1, le=100_000, description="Words of an answer.")
    tokens_per_second: float | None = Field(None, gt=0, description="One piece a word at this pace.")
    error: str | None = Field(None, description="Code of a ProviderError to fail with.")
    error_rate: float = Field(1, ge=0, le=1, description="Share of requests that fail, drawn from `seed`.")
    seed: int = 0
    fail_attempts: int | None = Field(None, ge=0, description="Only the first attempts at a question fail.")
    fail_after_tokens: int = Field(0, ge=0, description="Words that are said before the failure.")
    retry_after_seconds: float | None = Field(None, ge=0)

    @field_validator("error")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        if code is not None and code not in ERRORS:
            raise ValueError(f"one of {', '.join(ERRORS)}")
        return code


WELL_BEHAVED = Behaviour.model_validate({})


class MockProvider:
    """Counts requests, to fail the share or the attempts that were ordered; keeps nothing else."""

    name = "mock"
    features: frozenset[Feature] = EVERYTHING

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._failed_attempts: Counter[bytes] = Counter()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`. The error is the ordered one, or Timeout past `timeout_seconds`."""
        behaviour = _behaviour(request)
        digest = _digest(request)
        fails = behaviour.error is not None and self._draw_failure(behaviour, request.model, digest)
        pace = _Pace(request.timeout_seconds)
        await pace.wait_until(behaviour.latency_seconds)

        if not fails and (tool := _tool_to_call(request, digest)):
            call = ToolCallDelta(0, f"call_{digest.hex()[:8]}", tool.name, _drawn(tool.parameters, digest))
            yield Delta("", "tool_calls", _usage(request, completion_tokens=1), (call,))
            return
        words, finish_reason = _answer(request, behaviour, digest)
        said = words[: behaviour.fail_after_tokens] if fails else words
        if behaviour.tokens_per_second is None:
            text = " ".join(said)
        else:
            for index, word in enumerate(said):
                await pace.wait_until(behaviour.latency_seconds + index / behaviour.tokens_per_second)
                yield Delta(word if index == 0 else f" {word}")
            text = ""
        if fails:
            if text:
                yield Delta(text)
            raise _ordered_error(behaviour)
        yield Delta(text, finish_reason, _usage(request, len(words)))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Vectors drawn from the texts' digests; equal texts have equal vectors.

        Raises:
            UpstreamRejected: more than MAX_NUMBERS numbers.
        """
        size = request.dimensions or EMBEDDING_DIMENSIONS
        if size * len(request.texts) > MAX_NUMBERS:
            raise UpstreamRejected(f"mock makes no more than {MAX_NUMBERS} numbers at once.")
        vectors = tuple(_vector(f"{request.model} {text}", size) for text in request.texts)
        tokens = sum(text.count(" ") + 1 for text in request.texts)
        return Embeddings(vectors, Usage(prompt_tokens=tokens, total_tokens=tokens))

    async def count_tokens(self, request: ModelRequest) -> int:
        """Its words, as its answers count them."""
        return _usage(request, completion_tokens=0).prompt_tokens

    async def list_models(self) -> list[str]:
        """No names: it serves every one."""
        return []

    async def close(self) -> None:
        """See `Provider.close`."""

    def _draw_failure(self, behaviour: Behaviour, model: str, digest: bytes) -> bool:
        if behaviour.fail_attempts is not None:
            self._failed_attempts[digest] += 1
            if self._failed_attempts[digest] <= behaviour.fail_attempts:
                return True
            del self._failed_attempts[digest]
            return False
        self._requests[model] += 1
        draw = hashlib.sha256(f"{behaviour.seed} {model} {self._requests[model]}".encode()).digest()
        return int.from_bytes(draw[:4]) < behaviour.error_rate * 2**32


class _Pace:
    """Waits on a schedule that starts now and ends at the deadline."""

    def __init__(self, timeout_seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._timeout_seconds = timeout_seconds

    async def wait_until(self, offset_seconds: float) -> None:
        """Return at that offset from the start.

        Raises:
            Timeout: at the deadline, where that comes first.
        """
        due = self._started + min(offset_seconds, self._timeout_seconds)
        if (remaining := due - self._clock()) > 0:
            await asyncio.sleep(remaining)
        if offset_seconds > self._timeout_seconds:
            raise Timeout(f"mock did not finish within {self._timeout_seconds:g} s.")


def _behaviour(request: ModelRequest) -> Behaviour:
    if not request.extra:
        return WELL_BEHAVED
    try:
        return Behaviour.model_validate(request.extra)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise UpstreamRejected(f"mock: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _ordered_error(behaviour: Behaviour) -> ProviderError:
    ordered = ERRORS[behaviour.error or ProviderError.code]
    return ordered(f"The mock was told to fail: {ordered.code}.", retry_after_seconds=behaviour.retry_after_seconds)


def _digest(request: ModelRequest) -> bytes:
    asked = [request.model, str(request.temperature)]
    for message in request.messages:
        asked += (message.role, message.text)
    return hashlib.sha256("\0".join(asked).encode("utf-8", "surrogatepass")).digest()


def _answer(request: ModelRequest, behaviour: Behaviour, digest: bytes) -> tuple[list[str], str]:
    """The words of the whole answer, cut at `max_tokens`, and the finish reason that goes with them."""
    if request.schema is not None:
        words = _drawn(request.schema, digest).split(" ")
    else:
        draws = hashlib.shake_256(digest).digest(behaviour.tokens - 1)
        words = [f"{request.model}:", *(WORDS[byte % len(WORDS)] for byte in draws)]
    if request.stop:
        words = _before(request.stop, " ".join(words)).split(" ")
    if request.max_tokens is not None and len(words) > request.max_tokens:
        return words[: request.max_tokens], "length"
    return words, "stop"


def _drawn(schema: Mapping[str, Any], digest: bytes) -> str:
    try:
        return document(schema, digest)
    except ValueError as error:
        raise UpstreamRejected(f"mock: {error}") from error


def _before(stops: tuple[str, ...], text: str) -> str:
    for stop in filter(None, stops):
        text = text.partition(stop)[0]
    return text


def _tool_to_call(request: ModelRequest, digest: bytes) -> Tool | None:
    """The named one; else one of those offered, unless a result is what was just said and none is required."""
    tools, choice = request.tools, request.tool_choice or "auto"
    if not tools or choice == "none" or (choice == "auto" and request.messages[-1].role == "tool"):
        return None
    named = [tool for tool in tools if tool.name == choice]
    return named[0] if named else tools[digest[0] % len(tools)]


def _vector(text: str, size: int) -> tuple[float, ...]:
    """A unit vector."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(size)
    centred = [byte - 127.5 for byte in raw]  # never all zero
    length = sum(value * value for value in centred) ** 0.5
    return tuple(value / length for value in centred)


def _usage(request: ModelRequest, completion_tokens: int) -> Usage:
    prompt_tokens = sum(message.text.count(" ") + 1 for message in request.messages)
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
    )
