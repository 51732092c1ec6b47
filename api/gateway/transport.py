"""What the gateway asks of HTTP: send a body, and have the response piece by piece, however it comes about."""

from collections.abc import Mapping
from typing import Protocol


class TransportFault(Exception):
    """No response, or no more of it. The text is why, in the words of whoever noticed."""


class NotReached(TransportFault):
    """There was no connection."""


class Broken(TransportFault):
    """The connection broke, or what came over it is no HTTP."""


class Silent(TransportFault):
    """Nothing came for too long."""


class Reply(Protocol):
    """A response whose headers have come. Whoever holds one closes it."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in small letters."""
        ...

    async def piece(self) -> bytes:
        """All of the body that has come by now, or the next of it; empty at its end.

        Raises:
            TransportFault: after whatever came before it.
        """
        ...

    def is_over(self) -> bool:
        """Whether the end of the body has come, if nobody has read it yet."""
        ...

    def close(self) -> None:
        """Let go: at once, and of the connection too if the body is not over."""
        ...


class Transport(Protocol):
    """Sends to one server. Belongs to one event loop; connects to nothing until something is sent."""

    async def post(self, path: str, body: bytes, timeout_seconds: float) -> Reply:
        """Send this body to that path below the server's base URL. No wait takes longer than `timeout_seconds`.

        A request that was swallowed by a kept connection is sent once more, see `common.providers.resending`.

        Raises:
            TransportFault: there is no response.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
