"""Which names this server answers to while it asks nobody for a key.

A web page may point a name of its own at 127.0.0.1 and then speak to this server with the browser's
blessing (DNS rebinding). Its requests carry that name in `Host`; addresses cannot be rebound.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem


@lru_cache(maxsize=1024)
def is_own_name(host: str, names: frozenset[str]) -> bool:
    """Whether a `Host` header is an IP address, localhost, or one of our names."""
    name = _without_port(host.strip().lower())
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class HostGuard:
    """Answers 421 to requests for somebody else's name."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"")
            if host and not is_own_name(host.decode("latin-1"), self._names):
                await _misdirected(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


_misdirected = problem(
    421,
    "misdirected_request",
    "This server does not answer to that name.",
    "The Host header names another server. Names this one is reached by go into ULTRA_ALLOWED_HOSTS.",
)
