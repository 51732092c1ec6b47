"""A council at work on one request: its questions, by rounds, and what they come to together."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.auth import Caller
from api.gateway.answers import Whole
from api.gateway.asked import Asked
from api.gateway.envelope import Header
from api.gateway.exchange import Accounts, Exchange, cost_header, headers_of
from api.gateway.travel import Travel, Trip


class Sitting:
    """Puts questions. Each is let in, priced and recorded like any other request of this caller."""

    def __init__(self, travel: Travel, accounts: Accounts, caller: Caller, asked: Asked) -> None:
        """`asked` is the client's request."""
        self.travel = travel
        self.caller = caller
        self.asked = asked
        self._accounts = accounts
        self._started = time.perf_counter()
        self._rounds: list[list[Trip]] = []
        self._cost_usd: float | None = 0.0
        self._limits: tuple[Header, ...] = ()

    def begin_round(self) -> None:
        """The questions from here on are put at once."""
        self._rounds.append([])

    @asynccontextmanager
    async def question(self, asked: Asked) -> AsyncIterator[Exchange]:
        """One question, let in.

        Raises:
            AppError: it is not, or there is no such model.
        """
        trip = self.travel.begin(asked)
        with await self._accounts.admit(self.caller, trip, time.perf_counter()) as exchange:
            self._rounds[-1].append(trip)
            self._limits = exchange.limits
            yield exchange

    async def answer_to(self, asked: Asked) -> Whole:
        """The whole answer to one question.

        Raises:
            AppError: as `question`.
            Fault: there is none.
        """
        async with self.question(asked) as exchange:
            answer = await self.travel.whole(exchange.trip)
            cost_usd = exchange.completed(answer)
        self._cost_usd = None if cost_usd is None or self._cost_usd is None else self._cost_usd + cost_usd
        return answer

    @property
    def attempts(self) -> int:
        """Requests to models' servers, so far."""
        return sum(trip.attempts for one in self._rounds for trip in one)

    def headers(self, served_by: str) -> list[Header]:
        """What the response says of it; a round takes as long as its slowest model."""
        waited_seconds = sum(max((trip.waited_seconds for trip in one), default=0.0) for one in self._rounds)
        ours = time.perf_counter() - self._started - waited_seconds
        return [*headers_of(served_by, self.attempts, ours), *self._limits]

    def cost(self) -> tuple[Header, ...]:
        """What its whole answers cost, if that is known of each."""
        return cost_header(self._cost_usd)
