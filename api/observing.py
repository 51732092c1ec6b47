"""Around every request: its id, its log line, its measure, and an answer when our own code fails."""

import itertools
import logging
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import unexpected
from api.metrics import Metrics

MAX_ID_BYTES = 128
# Ids of our own: random once a process, counted from there.
_PROCESS = secrets.token_hex(8).encode()
_count = itertools.count()
SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")

logger = logging.getLogger("api.access")


class Observing:
    """Gives each request an id, echoed in `x-request-id`. Outermost: sees what became of everything."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s failed in our own code", request_id.decode())
            if status:  # too late for another answer: the server breaks the connection
                raise
            await unexpected()(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.count_request(scope["method"], _template(scope), status, seconds)
            log_request(scope, status, seconds, request_id)


def request_id_of(scope: Scope) -> bytes:
    """The caller's own id if it is harmless, else a new one."""
    given: bytes = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    if 0 < len(given) <= MAX_ID_BYTES and SAFE.issuperset(given):
        return given
    return b"%b%08x" % (_PROCESS, next(_count))


def _template(scope: Scope) -> str:
    """The route's path with its parameters' names, so that metrics stay few."""
    return getattr(scope.get("route"), "path", "unmatched")


def log_request(scope: Scope, status: int, seconds: float, request_id: bytes) -> None:
    """A line about what did not go well."""
    if status < 400:  # noqa: PLR2004  # what went well is counted, not told
        return
    logger.log(
        logging.WARNING if status >= 500 else logging.INFO,  # noqa: PLR2004
        "%s %r %d %.1f ms request=%s",
        scope["method"],
        scope["path"][:200],
        status,
        seconds * 1000,
        request_id.decode(),
    )
