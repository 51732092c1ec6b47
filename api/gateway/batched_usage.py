"""Usage of the gateway, written down in batches beside the requests.

A row waits FLUSH_SECONDS at most, so that is what a killed process takes along. While Postgres is away rows wait
in memory, MAX_ROWS at most: then those that come are dropped and counted, and those that wait are written when it
is back. A batch whose commit is uncertain is sent again; each row has its id, so that none is counted twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.database import Database
from api.gateway.usage import UsageRow
from common.background import keep_doing
from common.database import usage
from common.database.faults import is_of_a_row
from common.errors import DependencyDown
from common.ids import uuid7

FLUSH_SECONDS = 0.5
# A statement of so many takes some 20 ms of Postgres, and a few of our loop.
MAX_BATCH = 500
# Some 50 MB: half a minute at full speed, hours at a usual one.
MAX_ROWS = 50_000
AFTER_A_FAULT_SECONDS = 1.0
# What a stopping process gives Postgres to take the last rows.
CLOSE_SECONDS = 5.0
WARNING_EVERY = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stamped:
    """A row with its id and its time, which are those of the request however late it is written."""

    call_id: UUID
    at: datetime
    row: UsageRow


class BatchedUsage:
    """The rows' way to Postgres. Belongs to one event loop; give it `keep()` to run in the background."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: deque[Stamped] = deque()
        self._is_writing = asyncio.Lock()
        self._has_some = asyncio.Event()
        self.dropped = 0
        """Rows that are lost: they came while the buffer was full, or Postgres will never take them."""

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._rows)

    def record(self, row: UsageRow) -> None:
        """Have it written down. Returns at once and never fails."""
        if len(self._rows) >= MAX_ROWS:
            self._drop("Postgres is away and the buffer is full")
            return
        self._rows.append(Stamped(uuid7(), datetime.now(UTC), row))
        self._has_some.set()

    async def keep(self) -> None:
        """Write what comes, for ever."""
        await keep_doing(self._write_next)

    async def flush(self) -> None:
        """Write all that waits.

        Raises:
            DependencyDown: Postgres is away; what is not written still waits.
        """
        async with self._is_writing:
            self._has_some.clear()
            while self._rows:
                batch = [self._rows[number] for number in range(min(MAX_BATCH, len(self._rows)))]
                try:
                    await self._write(batch)
                except DependencyDown:
                    self._has_some.set()
                    raise
                for _ in batch:  # only now: a cancelled flush has lost none
                    self._rows.popleft()

    async def close(self) -> None:
        """Write what waits, as far as Postgres takes it soon."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flush()
        except (TimeoutError, DependencyDown) as error:
            logger.error(  # noqa: TRY400  # where it comes from tells nobody anything
                "%d rows of usage are lost, this process ends: %s", self.waiting, str(error) or "Postgres is too slow"
            )

    async def _write_next(self) -> None:
        await self._has_some.wait()
        await asyncio.sleep(FLUSH_SECONDS)
        try:
            await self.flush()
        except DependencyDown as error:
            logger.warning("%d rows of usage wait: %s", self.waiting, error.message)
            await asyncio.sleep(AFTER_A_FAULT_SECONDS)

    async def _write(self, batch: Sequence[Stamped]) -> None:
        try:
            await self._database.fetch(usage.insert([_columns(one) for one in batch]))
        except DependencyDown:
            raise
        except Exception as error:
            if not is_of_a_row(error):
                raise DependencyDown("Postgres did not take them.") from error
            if len(batch) == 1:
                self._drop(f"Postgres refuses it: {type(error).__name__}")
                return
            for one in batch:
                await self._write([one])

    def _drop(self, why: str) -> None:
        if self.dropped % WARNING_EVERY == 0:
            logger.error("a row of usage is lost, %d were before: %s", self.dropped, why)
        self.dropped += 1


def _columns(stamped: Stamped) -> dict[str, Any]:
    row, counted = stamped.row, stamped.row.usage
    return {
        "call_id": stamped.call_id,
        "at": stamped.at,
        "owner": row.owner,
        "source": "gateway",
        "request_id": row.request_id,
        "kind": row.kind,
        "model": row.model,
        "served_by": row.served_by,
        "provider": row.provider,
        "status": row.status,
        "error_code": row.error_code,
        "prompt_tokens": counted.prompt_tokens if counted else None,
        "completion_tokens": counted.completion_tokens if counted else None,
        "cached_prompt_tokens": counted.cached_prompt_tokens if counted else None,
        "reasoning_tokens": row.reasoning_tokens,
        "cost_usd": row.cost_usd,
        "time_to_first_token_ms": row.time_to_first_token_ms,
        "latency_ms": row.latency_ms,
        "attempts": row.attempts,
    }
