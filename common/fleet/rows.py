"""The rows by which both planes ask for models: the port that a `Fleet` looks through, and Postgres behind it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import TextClause

from common.fleet import wishes
from common.fleet.standing import Standing, standing_of

Fetch = Callable[[TextClause], Awaitable[Sequence[Mapping[Any, Any]]]]


class Rows(Protocol):
    """May raise `DependencyDown`, `SQLAlchemyError` or `OSError`: they cannot be asked just now."""

    async def look(self, models: Collection[str]) -> Mapping[str, Standing]:
        """How these models stand; one that nobody ever asked for is left out."""
        ...

    async def want(self, model: str) -> datetime:
        """Ask for a model; returns when that was."""
        ...

    async def nodes(self) -> Sequence[str]:
        """The nodes that could start one."""
        ...


class PostgresRows:
    """`Rows` over whatever runs a statement: each is whole in itself."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def look(self, models: Collection[str]) -> dict[str, Standing]:
        return {row["id"]: standing_of(row) for row in await self._fetch(wishes.look(models))}

    async def want(self, model: str) -> datetime:
        wanted_at: datetime = (await self._fetch(wishes.want(model)))[0]["wanted_at"]
        return wanted_at

    async def nodes(self) -> list[str]:
        return [row["name"] for row in await self._fetch(wishes.live_nodes())]
