"""`ultra prune`: straight to the database, like the workers that do the same by schedule."""

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from cli.surroundings import Surroundings

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# No job is older, and Postgres' dates go no further back than some thousands of years.
_LONGEST = timedelta(days=36_500)


@dataclass(slots=True)
class Pruned:
    """What was removed so far, or would be."""

    jobs: int = 0
    calls: int | None = None


def prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Jobs that ended longer ago than this, such as 12h or 30d; ULTRA_RETENTION_DAYS if left out.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and remove nothing.")] = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Remove finished jobs of long ago, with their calls and events.

    A few hundred at a time; what they cost stays in `ultra usage`. Workers do the same every ten minutes; see
    ULTRA_RETENTION_DAYS. Safe beside running jobs, and to interrupt: the next one goes on.

    \b
    ultra prune --older-than 30d --dry-run
    ultra prune --older-than 12h
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.exits import ExitCode
    from cli.surroundings import look_around
    from cli.terminal import print_json
    from common.settings import load_settings

    settings = load_settings()
    age = parse_age(older_than) if older_than else timedelta(days=settings.ultra_retention_days)
    if not age:
        raise typer.BadParameter("ULTRA_RETENTION_DAYS is 0, which keeps jobs for ever: say how old, such as 30d")
    pruned = Pruned()
    try:
        asyncio.run(_prune(look_around(settings, data_dir), age, pruned, is_dry=dry_run))
    except KeyboardInterrupt:
        typer.echo(f"stopped after {pruned.jobs} jobs, the next run goes on", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if as_json:
        print_json({"jobs": pruned.jobs, "calls": pruned.calls, "is_dry_run": dry_run})
    elif dry_run:
        typer.echo(f"{pruned.jobs} jobs would be removed")
    else:
        typer.echo(f"removed {pruned.jobs} jobs with {pruned.calls} calls")


def parse_age(text: str) -> timedelta:
    """`45m`, `12h`, `30d` or `2w` as a time span of a minute at least.

    Raises:
        typer.BadParameter: it is something else.
    """
    match = re.fullmatch(r"([0-9]{1,20})([mhdw])", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time: write a number and m, h, d or w, such as 12h or 30d")
    number, unit = int(match[1]), _UNITS[match[2]]
    if not 1 <= number <= _LONGEST // unit:
        raise typer.BadParameter(f"{text!r} is out of range: from 1m to {_LONGEST.days}d")
    return number * unit


async def _prune(surroundings: "Surroundings", age: timedelta, pruned: Pruned, *, is_dry: bool) -> None:
    """Count into `pruned`, batch by batch.

    Raises:
        CommandFailed: the database cannot be reached, or is not migrated.
    """
    from redis.asyncio import Redis
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    from cli.exits import CommandFailed
    from cli.terminal import diagnostics
    from common.database import retention
    from common.database.connect import connect
    from common.retention import remove_older

    settings = surroundings.settings
    engine = connect(surroundings.find("DATABASE_URL") or settings.database_url.get_secret_value(), pool_size=1)
    redis: Redis = Redis.from_url(
        surroundings.find("REDIS_URL") or settings.redis_url.get_secret_value(),
        socket_timeout=10,
        socket_connect_timeout=3,
    )
    columns = (TextColumn("removing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    try:
        async with engine.connect() as connection:
            total: int = (await connection.execute(retention.count_older(age))).scalar_one()
            if is_dry:
                pruned.jobs = total
                return
            pruned.calls = 0
            console = diagnostics()
            with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
                bar = progress.add_task("removing", total=total)
                async with aclosing(remove_older(connection, redis, age)) as batches:
                    async for removed in batches:
                        pruned.jobs += removed.jobs
                        pruned.calls += removed.calls
                        progress.update(bar, completed=pruned.jobs)
    except ProgrammingError as error:
        raise CommandFailed("The database is not migrated: run `ultra migrate`.") from error
    except (DBAPIError, OSError) as error:
        so_far = f" {pruned.jobs} jobs are removed." if pruned.jobs else ""
        raise CommandFailed(f"Cannot reach the database: set DATABASE_URL, or start `ultra up`.{so_far}") from error
    finally:
        await redis.aclose()
        await engine.dispose()
