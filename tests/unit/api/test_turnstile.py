"""Submissions pass a few a turn, and nothing else waits for them."""

import asyncio
from itertools import pairwise

from starlette.types import Receive, Scope, Send

from api.turnstile import A_TURN, Turnstile


class Turns:
    """An app that notes how many requests reached it in each turn of the loop."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.turnstile = Turnstile(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope["method"])

    def ask(self, method: str) -> "asyncio.Task[None]":
        return asyncio.create_task(self._ask(method))

    async def _ask(self, method: str) -> None:
        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        async def send(_: object) -> None:
            return

        await self.turnstile({"type": "http", "method": method}, receive, send)


async def test_of_a_flood_a_few_pass_a_turn_and_all_pass_in_the_end() -> None:
    app = Turns()
    asking = [app.ask("POST") for _ in range(10 * A_TURN)]
    seen = [0]
    while seen[-1] < 10 * A_TURN:
        await asyncio.sleep(0)
        seen.append(len(app.reached))
    assert max(after - before for before, after in pairwise(seen)) <= A_TURN
    await asyncio.gather(*asking)


async def test_a_poll_passes_the_submissions_that_wait() -> None:
    app = Turns()
    flood = [app.ask("POST") for _ in range(5 * A_TURN)]
    poll = app.ask("GET")
    await poll
    assert app.reached.count("POST") < 5 * A_TURN
    await asyncio.gather(*flood)


async def test_whoever_gives_up_takes_nobodys_place() -> None:
    app = Turns()
    asking = [app.ask("POST") for _ in range(3 * A_TURN)]
    await asyncio.sleep(0)
    for one in asking[A_TURN : 2 * A_TURN]:
        one.cancel()
    async with asyncio.timeout(60):
        await asyncio.gather(*asking, return_exceptions=True)
    assert len(app.reached) == 2 * A_TURN
    await asyncio.wait_for(app.ask("POST"), 60)
