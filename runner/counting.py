"""Counts the calls by their path and the status they got."""

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.metrics import Metrics

# What nginx writes for a client that left before its response began.
CLIENT_CLOSED_REQUEST = 499


class Counting:
    """Middleware. Other paths are not counted: a metric must not have a label a caller can invent."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and note the status."""
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        status = CLIENT_CLOSED_REQUEST

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.called(scope["path"], status)
