"""A whole answer, for those who do not watch it being made."""

from contextlib import aclosing
from dataclasses import dataclass

from common.contracts.calls import Usage
from common.providers.protocol import ModelRequest, Provider


@dataclass(frozen=True, slots=True)
class Completion:
    """What a stream came to. `usage` is None where the server does not count."""

    text: str
    finish_reason: str | None
    usage: Usage | None


async def complete(provider: Provider, request: ModelRequest) -> Completion:
    """The answer in one piece. Cancelling cancels the request upstream.

    Raises:
        ProviderError: as `Provider.stream`; what was said until then is lost.
    """
    pieces: list[str] = []
    finish_reason: str | None = None
    usage: Usage | None = None
    async with aclosing(provider.stream(request)) as stream:
        async for delta in stream:
            pieces.append(delta.text)
            finish_reason = delta.finish_reason or finish_reason
            usage = delta.usage or usage
    return Completion("".join(pieces), finish_reason, usage)
