"""Noticing that a client went away."""

from starlette.types import Receive


async def disconnected(receive: Receive) -> None:
    """Return once the client is gone. For requests whose body was read, or has none."""
    while (await receive())["type"] != "http.disconnect":
        pass
