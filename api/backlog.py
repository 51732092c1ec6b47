"""How many jobs wait and whose they are, known without asking for each submission."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from api.database import Database
from api.pace import Pace
from common.database import jobs
from common.errors import Busy, DependencyDown
from common.lanes import FRONT_JOBS, Lane

REFRESH_SECONDS = 1.0
# What one owner may hold of the places to wait in: the rest is for the others.
OWNERS_SHARE = 0.8

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """What an owner has: jobs that wait, and jobs at work."""

    queued: int = 0
    running: int = 0


class Backlog:
    """The live jobs as of the last count, and those that this process has let in since."""

    def __init__(
        self, database: Database, limit: int, places: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._limit = limit
        # at least one, so that a bound of one job is a bound of one job
        self._share = max(1, round(limit * OWNERS_SHARE))
        self._places = places
        self._clock = clock
        self._queued = 0
        self._owners: dict[str, Held] = {}
        # owners of those let in and not stored yet, and of those that a count under way may have missed
        self._arriving: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._pace = Pace()
        self._counted_at: float | None = None

    @contextmanager
    def admit(self, owner: str) -> Iterator[Lane | None]:
        """Let one more in, which is stored before the context ends.

        Gives the lane to ring for it in, or None if others of its owner come first.

        Raises:
            Busy: as many wait as may, of everybody's or of this owner's. Says when to come again.
        """
        held = self._owners.setdefault(owner, Held())
        if self._queued >= self._limit:
            raise Busy(f"{self._limit} jobs wait already.", retry_after_seconds=self._pace.refuse())
        if held.queued >= self._share:
            raise Busy(
                f"{self._share} jobs of this key wait already; the other places are for other keys.",
                retry_after_seconds=self._pace.refuse(),
            )
        self._queued += 1
        held.queued += 1
        self._arriving[owner] += 1
        self._missed[owner] += 1
        try:
            yield self._lane(held.queued + held.running)
        finally:
            self._arriving[owner] -= 1
            if not self._arriving[owner]:
                del self._arriving[owner]

    def _lane(self, live: int) -> Lane | None:
        if live > self._places:
            return None
        return Lane.FRONT if live <= FRONT_JOBS else Lane.BACK

    async def count(self) -> None:
        """Count again; keeps the last figures while Postgres is away."""
        before, asked_at = self._queued, self._clock()
        # Who is stored while we count may be in the count or not: better counted twice than not at all.
        self._missed = self._arriving.copy()
        try:
            rows = await self._database.fetch(jobs.count_by_owner())
        except DependencyDown as error:
            logger.warning("queued jobs not counted: %s", error.message)
            return
        self._owners = {row["owner"]: Held(row["queued"], row["running"]) for row in rows}
        waiting = sum(held.queued for held in self._owners.values())
        if self._counted_at is not None:
            self._pace.observe(before - waiting, asked_at - self._counted_at)
        self._counted_at = asked_at
        self._queued = waiting + self._missed.total()
        for owner, count in self._missed.items():
            self._owners.setdefault(owner, Held()).queued += count
