"""A whole answer, for those who do not watch it being made."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from common.contracts.calls import Usage
from common.contracts.messages import ToolCall
from common.providers.length import Length
from common.providers.protocol import Delta, ModelRequest, Provider, ToolCallDelta


@dataclass(frozen=True, slots=True)
class Completion:
    """What a stream came to. `usage` is None where the server does not count."""

    text: str
    finish_reason: str | None
    usage: Usage | None
    tool_calls: tuple[ToolCall, ...] = ()
    thoughts: str = ""


class ToolCalls:
    """Tool calls put together from their pieces."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[ToolCallDelta]] = {}

    def add(self, pieces: Iterable[ToolCallDelta]) -> None:
        for piece in pieces:
            self._pieces.setdefault(piece.index, []).append(piece)

    def whole(self) -> tuple[ToolCall, ...]:
        """The calls, in the order of their index."""
        return tuple(_joined(index, self._pieces[index]) for index in sorted(self._pieces))


async def complete(provider: Provider, request: ModelRequest) -> Completion:
    """The answer in one piece. Cancelling cancels the request upstream.

    Raises:
        ProviderError: as `Provider.stream`; what was said until then is lost.
    """
    return await joined(provider.stream(request))


async def joined(stream: AsyncGenerator[Delta]) -> Completion:
    """What a stream comes to; it is closed then, and where this is cancelled.

    Raises what it raises, and `BadUpstream` where it has no end.
    """
    length = Length()
    pieces: list[str] = []
    thoughts: list[str] = []
    tool_calls = ToolCalls()
    finish_reason: str | None = None
    usage: Usage | None = None
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            length.add(delta)
            pieces.append(delta.text)
            thoughts.append(delta.thoughts)
            tool_calls.add(delta.tool_calls)
            finish_reason = delta.finish_reason or finish_reason
            usage = delta.usage or usage
    return Completion("".join(pieces), finish_reason, usage, tool_calls.whole(), "".join(thoughts))


def _joined(index: int, pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        id=next((piece.id for piece in pieces if piece.id), f"call_{index}"),
        name=next((piece.name for piece in pieces if piece.name), ""),
        arguments="".join(piece.arguments for piece in pieces),
        opaque=pieces[0].opaque,
    )
