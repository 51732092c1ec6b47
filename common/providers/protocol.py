"""What every provider adapter promises, and the values it speaks in."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from common.contracts.calls import Usage
from common.contracts.messages import Message, Tool
from common.contracts.reasoning import Reasoning
from common.errors import Unsupported

# What a server may be unable to do. Chat, streaming, system prompts and several turns every adapter does.
# `tool_choice` is to make the model call a tool, one that is named or any; `auto` and `none` come with `tools`.
Feature = Literal[
    "tools", "tool_choice", "json_schema", "images", "embeddings", "list_models", "seed", "stop", "reasoning"
]
EVERYTHING: frozenset[Feature] = frozenset(get_args(Feature))


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request in the provider's own terms: `model` is the name its server knows.

    `tool_choice` is `auto`, `none`, `required` or a tool's name. `reasoning` is what this model can be told, see
    `ReasoningControl`. What is None or empty is left to the server.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: dict[str, Any] | None = None
    reasoning: Reasoning | None = None
    timeout_seconds: float = 120.0
    extra: dict[str, Any] = field(default_factory=dict)
    """Further parameters of this model's catalog entry, passed to the server as they are."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Parameters that this model knows by another name, as in `{"max_tokens": "max_completion_tokens"}`."""

    @property
    def shows_thoughts(self) -> bool:
        """Whether the answer's thoughts are wanted beside it."""
        return self.reasoning is not None and self.reasoning.is_shown


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call. `index` says of which; `id`, `name` and `opaque` come with its first piece."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    opaque: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. The last one carries `finish_reason`, and `usage` where the server counts.

    `finish_reason` is `stop`, `length`, `content_filter` or `tool_calls`. `thoughts` are no part of the answer and come
    before the text beside them, from servers of other interfaces than OpenAI's, where the request wants them shown;
    `signature` is the provider's own under those so far.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    thoughts: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to turn into vectors, by the model of that name."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    timeout_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector a text, in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None


class Provider(Protocol):
    """One kind of model server. Safe for many concurrent requests on one event loop."""

    name: str
    features: frozenset[Feature]
    """What this server can be asked for; anything else raises Unsupported, before a byte is sent."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is made; closing the generator cancels the request upstream.

        The whole of it, first token and last, lies within `timeout_seconds`. A stream that breaks off
        raises: it never ends as if it were whole.

        Raises:
            ProviderError: a foreign error, translated into our tree.
        """
        ...

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The vectors of some texts.

        Raises:
            ProviderError: as `stream`.
        """
        ...

    async def list_models(self) -> list[str]:
        """The names this server knows.

        Raises:
            ProviderError: the server could not be asked.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """What those adapters are too whose servers count a prompt without answering it."""

    async def count_tokens(self, request: ModelRequest) -> int:
        """The tokens of all that the request shows the model: messages, tools and what stands around them.

        Raises:
            ProviderError: as `Provider.stream`.
        """
        ...


def refuse_unsupported(provider: Provider, request: ModelRequest) -> None:
    """Every adapter's first line.

    Raises:
        Unsupported: the request asks for something that this server cannot do; names it.
    """
    asked: dict[Feature, bool] = {
        "tools": bool(request.tools),
        "tool_choice": bool(request.tools) and request.tool_choice not in {None, "auto", "none"},
        "json_schema": request.schema is not None,
        "images": any(message.images for message in request.messages),
        "seed": request.seed is not None,
        "stop": bool(request.stop),
        "reasoning": request.reasoning is not None,
    }
    for feature, is_asked in asked.items():
        if is_asked and feature not in provider.features:
            raise Unsupported(f"{provider.name} does not support {feature.replace('_', ' ')}.")
