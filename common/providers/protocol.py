"""What every provider adapter promises, and the values it speaks in."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.contracts.calls import Message, Usage


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request in the provider's own terms: `model` is the name its server knows."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_seconds: float = 120.0
    schema: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Further parameters of this model's catalog entry, passed to the server as they are."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. The last one carries `finish_reason`, and `usage` where the server counts."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Provider(Protocol):
    """One kind of model server. Safe for many concurrent requests on one event loop."""

    name: str

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is made; closing the generator cancels the request upstream.

        The whole of it, first token and last, lies within `timeout_seconds`. A stream that breaks off
        raises: it never ends as if it were whole.

        Raises:
            ProviderError: a foreign error, translated into our tree.
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
