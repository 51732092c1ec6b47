"""A call's runner over the real database, with models that say what a test tells them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Answer
from common.events import EventName, EventSink
from worker.asking import Asker
from worker.calls import CallRunner, Limits
from worker.leases import Leases
from worker.store import Claim, Store

MINUTE = timedelta(minutes=1)
Say = Callable[[Claim], Awaitable[Answer]]


class Told(Asker):
    """Answers as the test says."""

    def __init__(self, say: Say) -> None:
        self._say = say

    async def ask(self, claim: Claim, entry: ModelEntry) -> Answer:
        return await self._say(claim)


class Heard(EventSink):
    """The names of the events, and their data."""

    def __init__(self) -> None:
        self.events: list[tuple[EventName, dict[str, Any]]] = []

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None:
        self.events.append((name, data))

    def names(self) -> list[EventName]:
        return [name for name, _ in self.events]


class Willing:
    """Upstreams that are never in the way."""

    def stand_ins(self) -> list[ModelEntry]:
        return []

    async def refusal(self, entry: ModelEntry, **_: Any) -> None:
        return None

    def answered(self, entry: ModelEntry) -> None: ...

    async def failed(self, *_: Any) -> None: ...

    def is_offline_for(self, entry: ModelEntry) -> bool:
        return False


class Bench:
    """A runner and what belongs to it."""

    def __init__(self, engine: AsyncEngine, say: Say) -> None:
        self.events = Heard()
        self.store = Store(engine, worker="w", lease=MINUTE, grace=MINUTE)
        no_redis: Any = None
        self.leases = Leases(self.store, no_redis, lease_seconds=60)
        willing: Any = Willing()
        self.runner = CallRunner(
            self.store,
            self.leases,
            lambda: Catalog({}, {}),
            Told(say),
            willing,
            self.events,
            Limits(max_attempts=3, job_retries=20),
            queues=["cloud", "local"],
            ring=self._ring,
        )

    async def _ring(self, call_id: str, queue: str) -> None: ...


def yes(claim: Claim) -> Answer:
    return Answer(model=claim.model, served_by=claim.model, status="completed", text="Yes.")


class Postgres:
    """Loses a connection where a test says: before a statement is run, or after, when it has been committed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._before: list[str] = []
        self._after: list[str] = []
        event.listen(engine.sync_engine, "before_cursor_execute", self._lose_before)
        event.listen(engine.sync_engine, "after_cursor_execute", self._lose_after)

    def lose_before(self, fragment: str) -> None:
        """The next statement with these words does not happen."""
        self._before.append(fragment)

    def lose_after(self, fragment: str) -> None:
        """The next statement with these words happens, and its reply is lost."""
        self._after.append(fragment)

    @property
    def has_lost(self) -> bool:
        """Whether all that was asked for has come to pass."""
        return not self._before and not self._after

    def _lose_before(self, _: Any, __: Any, statement: str, *rest: Any) -> None:
        self._lose(self._before, statement)

    def _lose_after(self, _: Any, __: Any, statement: str, *rest: Any) -> None:
        self._lose(self._after, statement)

    def _lose(self, fragments: list[str], statement: str) -> None:
        for fragment in fragments:
            if fragment in statement:
                fragments.remove(fragment)
                raise psycopg.OperationalError("the connection was lost")
