"""What a model's answer is to the gateway, whichever way it comes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from api.gateway.asked import Asked
from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole answer: its JSON. `waited_seconds` is how long the model's server took.

    `response_model` is what that calls the model, if it is known.
    """

    document: bytes
    usage: Usage | None
    reasoning_tokens: int | None
    waited_seconds: float
    response_model: str | None = None


class Stream(Protocol):
    """An answer that has begun: its first token is there. Whoever holds one closes it."""

    @property
    def usage(self) -> Usage | None:
        """As counted by the model's server; known once the last block is there, if ever."""
        ...

    @property
    def reasoning_tokens(self) -> int | None:
        """As `usage`."""
        ...

    @property
    def response_model(self) -> str | None:
        """What the server calls the model, if it is known."""
        ...

    @property
    def waited_seconds(self) -> float:
        """From the request to the first token, without what we did meanwhile."""
        ...

    def blocks(self) -> AsyncGenerator[bytes]:
        """Whole events, as many at once as there are; never `[DONE]`.

        Raises:
            Fault: it broke off. A stream that ends without that was whole.
        """
        ...

    async def close(self) -> None:
        """Let go of the server; one that is still answering notices at once."""
        ...


class Way(Protocol):
    """How a model is reached."""

    async def whole(self, asked: Asked, entry: ModelEntry) -> Whole:
        """The whole answer of this model.

        Raises:
            Fault: there is none.
            InvalidInput: the request is wrong; names the parameter.
        """
        ...

    async def stream(self, asked: Asked, entry: ModelEntry) -> Stream:
        """The answer of this model, from its first token on.

        Raises:
            Fault: nothing came before something went wrong.
            InvalidInput: as `whole`.
        """
        ...
