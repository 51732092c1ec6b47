"""How many jobs wait, known without asking for each submission."""

import logging

from api.database import Database
from common.database import jobs
from common.errors import Busy, DependencyDown

REFRESH_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Backlog:
    """The queued jobs as of the last count, and those that this process has let in since."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._queued = 0
        self._admitted = 0

    def admit(self) -> None:
        """Let one more in.

        Raises:
            Busy: as many wait as may.
        """
        if self._queued >= self._limit:
            raise Busy(f"{self._limit} jobs wait already.", retry_after_seconds=2 * REFRESH_SECONDS)
        self._queued += 1
        self._admitted += 1

    async def count(self) -> None:
        """Count again; keeps the last figure while Postgres is away."""
        # Who comes in while we count may be in the count or not: better counted twice than not at all.
        self._admitted = 0
        try:
            row = await self._database.first(jobs.count_queued())
        except DependencyDown as error:
            logger.warning("queued jobs not counted: %s", error.message)
            return
        self._queued = (row["count_1"] if row else 0) + self._admitted
