"""Models in containers: could those that are asked for be started?"""

from collections.abc import Collection, Sequence

from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.checks.finding import Finding, ok, warn
from common.catalog.catalog import Catalog
from common.catalog.local import LocalModel
from common.database.connect import connect
from common.fleet import wishes

NAME = "lifecycle workers"
# Of the models that are asked for, so many are named.
NAMED = 5


async def fleet(url: str, catalog: Catalog) -> list[Finding]:
    """Who starts containers, and whether anybody waits for one. What is wrong with Postgres is `database`'s to tell."""
    models = {entry.id for entry in catalog.entries.values() if isinstance(entry, LocalModel)}
    if not models:
        return []
    try:
        engine = connect(url, pool_size=1)
    except (ArgumentError, ValueError):
        return []
    try:
        async with engine.connect() as connection:
            nodes, wished = await _nodes(connection), await _wished(connection)
    except (SQLAlchemyError, OSError):
        return []
    finally:
        await engine.dispose()
    return [judge_fleet(nodes, models & {*wished, *relied_on(catalog)}, len(models))]


def relied_on(catalog: Catalog) -> set[str]:
    """The models that are asked though nobody names them: by default, or in the place of another."""
    stand_ins = {name for entry in catalog.entries.values() for names in entry.fallbacks.values() for name in names}
    return {*catalog.default_models, catalog.default_lead or "", *stand_ins}


def judge_fleet(nodes: Sequence[str], asked: Collection[str], count: int) -> Finding:
    """`nodes` have a lifecycle worker that lives; `asked` are those of the catalog's models that somebody needs."""
    if nodes:
        return ok(NAME, f"nodes {', '.join(nodes)}")
    if not asked:
        return ok(NAME, f"none; models in containers ({count}) need one, and nobody asks for them")
    names = sorted(asked)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    found = f"none: {', '.join(names[:NAMED])}{more} cannot be started"
    return warn(NAME, found, "start one beside Docker: `ultra worker lifecycle`")


async def _nodes(connection: AsyncConnection) -> Sequence[str]:
    return (await connection.execute(wishes.live_nodes())).scalars().all()


async def _wished(connection: AsyncConnection) -> set[str]:
    rows = (await connection.execute(wishes.look())).mappings()
    return {row["id"] for row in rows if row["is_wanted"]}
