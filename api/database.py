"""Statements run for a waiting caller: bounded in time, and honest about a database that is away."""

from typing import Any

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from common.database.bounded import bounded
from common.errors import DependencyDown

Row = dict[str, Any]

# A caller that is told to come again is better off than one that waits for longer.
STATEMENT_SECONDS = 10.0
UNDEFINED_TABLE = "42P01"
READ_ONLY = "25006"  # a standby, or a primary that became one


class Database:
    """Runs whole statements, each a commit of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def fetch(self, statement: Executable, *, seconds: float = STATEMENT_SECONDS) -> list[Row]:
        """Run one statement and return its rows.

        Raises:
            DependencyDown: Postgres is away, or did not answer within `seconds`. The statement may have
                happened all the same.
        """
        try:
            return await bounded(self._fetch(statement), seconds)
        except TimeoutError as error:
            raise DependencyDown("Postgres does not answer.") from error

    async def first(self, statement: Executable, *, seconds: float = STATEMENT_SECONDS) -> Row | None:
        """The first row, or None. Raises what `fetch` raises."""
        rows = await self.fetch(statement, seconds=seconds)
        return rows[0] if rows else None

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()

    async def _fetch(self, statement: Executable) -> list[Row]:
        try:
            async with self._engine.connect() as connection:
                result = await connection.execute(statement)
                return [dict(row) for row in result.mappings()] if result.returns_rows else []
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            raise DependencyDown("Postgres is away.") from error
        except DBAPIError as error:
            if (reason := _passing_fault(error)) is not None:
                raise DependencyDown(reason) from error
            raise


def _passing_fault(error: DBAPIError) -> str | None:
    """What to say of a database that cannot take work yet or any more, or None for a fault of ours."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error, ProgrammingError) and state == UNDEFINED_TABLE:
        return "The database has no tables yet: run `ultra migrate`."
    if error.connection_invalidated or state == READ_ONLY:
        return "Postgres is away."
    return None
