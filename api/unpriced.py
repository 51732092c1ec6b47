"""Answers whose price nobody knows, counted for the metrics."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from api.database import Database
from common.database import usage

# A statement runs 30 s at most (common/database/connect.py), so no older row is still to be committed.
SETTLE = timedelta(seconds=30)
# What one look may have to read; what nobody scraped for longer is not made up for.
REACH = timedelta(minutes=10)


class Unpriced:
    """Counts by model, from the first `look` on. Each look reads only the rows since the one before."""

    def __init__(self, database: Database, *, settle: timedelta = SETTLE) -> None:
        self._database = database
        self._settle = settle
        self._until: datetime | None = None
        self._calls: Counter[str] = Counter()

    @property
    def calls(self) -> Mapping[str, int]:
        """Answers without a price so far, by the model that gave them."""
        return self._calls

    async def look(self, *, seconds: float) -> None:
        """Count what came since. One at a time.

        Raises:
            DependencyDown: Postgres did not answer within `seconds`; the next look makes up for it.
        """
        rows = await self._database.fetch(
            usage.unpriced(self._until, settle=self._settle, reach=REACH), seconds=seconds
        )
        for row in rows:
            self._until = row["until"]
            if row["calls"]:
                self._calls[row["model"]] += row["calls"]
