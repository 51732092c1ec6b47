"""One request to a model as it is accounted for: let in, timed, priced, and written down when it is over."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from api.auth import Caller
from api.gateway.answers import Stream, Whole
from api.gateway.batched_usage import BatchedUsage
from api.gateway.envelope import Header
from api.gateway.faults import Fault
from api.gateway.limited import Admitted, Limited
from api.gateway.travel import Trip
from api.gateway.usage import UsageRow, request_id
from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.errors import AppError

Price = Callable[[ModelEntry, Usage | None], float | None]

NOTHING = Usage()


def headers_of(served_by: str, attempts: int, seconds_of_ours: float) -> list[Header]:
    """Who answered, after how many requests to models' servers, and how long we took beside them."""
    return [
        (b"x-ultra-served-by", served_by.encode()),
        (b"x-ultra-attempts", b"%d" % attempts),
        (b"x-ultra-overhead-ms", b"%.2f" % (max(seconds_of_ours, 0.0) * 1000)),
    ]


def cost_header(cost_usd: float | None) -> tuple[Header, ...]:
    """What an answer cost, if that is known."""
    return () if cost_usd is None else ((b"x-ultra-cost-usd", b"%.10g" % cost_usd),)


class Accounts:
    """Opens exchanges."""

    def __init__(self, admission: Limited, usage: BatchedUsage, price: Price) -> None:
        self._admission = admission
        self._usage = usage
        self._price = price

    async def admit(self, caller: Caller, trip: Trip, started: float) -> "Exchange":
        """Let this request in, or not; it began at `started`, of time.perf_counter.

        Raises:
            AppError: as `Limited.admit`.
        """
        admitted = await self._admission.admit(caller, trip.named.id, trip.asked.estimated_tokens)
        return Exchange(caller, trip, admitted, self._usage, self._price, started)


class Exchange:
    """A request that was let in: a context that settles and records it, whatever it ends with."""

    def __init__(
        self, caller: Caller, trip: Trip, admitted: Admitted, log: BatchedUsage, price: Price, started: float
    ) -> None:
        self.trip = trip
        self._admitted = admitted
        self._log = log
        self._price = price
        self._started = started
        self._response_model: str | None = None
        kind = trip.asked.kind.name
        self._row = UsageRow(caller.owner, kind, trip.named.id, "failed", request_id=request_id.get())

    @property
    def limits(self) -> tuple[Header, ...]:
        """What the response says of the caller's limits."""
        return tuple(self._admitted.headers)

    def headers(self) -> list[Header]:
        """Who answered, after how many requests, and how long we took beside the model."""
        trip = self.trip
        return headers_of(trip.entry.id, trip.attempts, time.perf_counter() - self._started - trip.waited_seconds)

    def begun(self) -> None:
        """The first token is there."""
        self.trip.upstream.begun()
        row = self._row
        row.time_to_first_token_ms = self._milliseconds()
        row.served_by, row.provider = self.trip.entry.id, self.trip.entry.provider

    def completed(self, answer: Whole | Stream) -> float | None:
        """It was answered; returns what that cost, if that is known."""
        self._row.status = "completed"
        return self.counted(answer)

    def counted(self, answer: Whole | Stream) -> float | None:
        """What the server counted, of an answer that broke off too; returns what that cost."""
        row = self._row
        self._response_model = answer.response_model
        row.usage, row.reasoning_tokens = answer.usage, answer.reasoning_tokens
        row.cost_usd = self._price(self.trip.entry, row.usage)
        row.served_by, row.provider = self.trip.entry.id, self.trip.entry.provider
        return row.cost_usd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        row = self._row
        if isinstance(error, Fault):
            row.error_code = error.error.code
        elif isinstance(error, AppError):
            row.error_code = error.code
        elif isinstance(error, Exception):
            row.error_code = "internal_error"
        elif error is not None:
            row.status = "cancelled"
        self.trip.upstream.end(
            usage=row.usage,
            reasoning_tokens=row.reasoning_tokens,
            response_model=self._response_model,
            error=None if row.status == "completed" else row.error_code or row.status,
        )
        row.attempts = self.trip.attempts
        row.latency_ms = self._milliseconds()
        # What failed before its first token is billed by nobody; nor is what was never sent.
        has_failed_early = row.status == "failed" and row.time_to_first_token_ms is None
        came_to_nothing = row.attempts == 0 or has_failed_early
        self._admitted.settle(NOTHING if row.usage is None and came_to_nothing else row.usage, row.cost_usd)
        self._log.record(row)

    def _milliseconds(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 1)
