"""A few submissions a turn of the event loop, so that a flood of them leaves room for everything else.

A poll takes about ten turns: it waits for a connection, for each statement, for what it prints. If each of them
also carries whatever sixty clients have posted meanwhile, it takes ten times as long as they do. The
flood loses nothing by it: it is served at the same pace, in smaller helpings.
"""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send

# About a millisecond of work.
A_TURN = 4


class Turnstile:
    """Lets POST requests through in the order of their coming, A_TURN a turn; the first ones at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            await self._pass()
        await self._app(scope, receive, send)

    async def _pass(self) -> None:
        loop = asyncio.get_running_loop()
        if self._passed == 0:
            loop.call_soon(self._turn)
        if self._passed < A_TURN:
            self._passed += 1
            return
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        await future

    def _turn(self) -> None:
        """The next ones. Whoever gave up meanwhile takes nobody's place."""
        self._passed = 0
        while self._waiting and self._passed < A_TURN:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._passed += 1
        if self._passed:
            asyncio.get_running_loop().call_soon(self._turn)
