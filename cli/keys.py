"""`ultra keys create`, `list`, `update` and `revoke`: straight to the database, so that a first key can be made."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from cli.key_limits import (
    BudgetOption,
    ModelsOption,
    ParallelOption,
    PeriodOption,
    RequestsOption,
    TokensOption,
    changed,
    told,
)
from cli.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Executable
    from sqlalchemy.engine import RowMapping

    from common.contracts.limits import Limits

keys = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="API keys, in the database of DATABASE_URL or of `ultra up`."
)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for the list.", show_default=False)],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "-s", metavar="A,B", help="submit, read, lifecycle, admin."),
    ] = None,
    models: ModelsOption = None,
    requests: RequestsOption = None,
    tokens: TokensOption = None,
    parallel: ParallelOption = None,
    budget: BudgetOption = None,
    period: PeriodOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Make a key and print it: once, for only its digest is stored. A limit that is left out is none.

    \b
    ultra keys create laptop
    ULTRA_API_KEY=$(ultra keys create ci --scope submit,read)
    ultra keys create intern --models phi3,gpt4 --tokens-per-minute 20000 --budget 5
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.terminal import diagnostics, print_json
    from common.contracts.limits import UNLIMITED
    from common.database import keys as statements
    from common.ids import uuid7

    scopes = [one.strip() for some in scope or ["submit,read"] for one in some.split(",") if one.strip()]
    if unknown := set(scopes) - set(statements.SCOPES):
        raise typer.BadParameter(f"no scope {', '.join(sorted(unknown))}: choose from {', '.join(statements.SCOPES)}")
    limits = changed(
        UNLIMITED,
        models=models,
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        parallel_calls=parallel,
        budget_usd=budget,
        budget_period=period,
    )
    key_id, key = uuid7(), statements.generate()
    _execute(statements.create(key_id, name, key, scopes, limits), data_dir)
    if as_json:
        print_json({"id": str(key_id), "name": name, "scopes": scopes, "key": key} | _document(limits))
        return
    typer.echo(key)
    diagnostics().out(f"Shown this once. Revoke it with: ultra keys revoke {key_id}")


@keys.command("list")
def list_keys(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List all keys, newest first, revoked ones too. Never the keys themselves."""
    from rich.table import Table

    from cli.terminal import output, print_json
    from common.database import keys as statements

    rows = _execute(statements.listing(), data_dir)
    if as_json:
        print_json({"data": [{str(name): value for name, value in row.items()} for row in rows]})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("id", "name", "key", "scopes", "limits", "created", "revoked"):
        table.add_column(column, no_wrap=column == "id")
    for row in rows:
        table.add_row(
            str(row["id"]),
            row["name"],
            f"{row['prefix']}…",
            ", ".join(row["scopes"]),
            told(statements.limits_of(dict(row))),
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            f"{row['revoked_at']:%Y-%m-%d %H:%M}" if row["revoked_at"] else "",
        )
    output().print(table)


@keys.command()
def update(
    key_id: Annotated[UUID, typer.Argument(metavar="ID", help="From `ultra keys list`.")],
    models: ModelsOption = None,
    requests: RequestsOption = None,
    tokens: TokensOption = None,
    parallel: ParallelOption = None,
    budget: BudgetOption = None,
    period: PeriodOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Change a key's limits; those that are left out stay. In force within seconds.

    \b
    ultra keys update 0192f0c1-… --requests-per-minute 60 --parallel 4
    ultra keys update 0192f0c1-… --budget 20 --per day --models all
    ultra keys update 0192f0c1-… --tokens-per-minute none
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.exits import CommandFailed
    from cli.terminal import print_json
    from common.database import keys as statements

    found = _execute(statements.limits(key_id), data_dir)
    limits = found and changed(
        statements.limits_of(dict(found[0])),
        models=models,
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        parallel_calls=parallel,
        budget_usd=budget,
        budget_period=period,
    )
    if not limits or not _execute(statements.limit(key_id, limits), data_dir):
        raise CommandFailed(f"No live key {key_id}: see `ultra keys list`.")
    if as_json:
        print_json({"id": str(key_id)} | _document(limits))
        return
    typer.echo(told(limits) or "no limits")


@keys.command()
def revoke(
    key_id: Annotated[UUID, typer.Argument(metavar="ID", help="From `ultra keys list`.")],
    data_dir: DataDirOption = None,
) -> None:
    """Make a key worthless, at once and for good."""
    from cli.exits import CommandFailed
    from common.database import keys as statements

    if not _execute(statements.revoke(key_id), data_dir):
        raise CommandFailed(f"No live key {key_id}: see `ultra keys list`.")
    typer.echo("revoked")


def _document(limits: "Limits") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(limits) | {"models": None if limits.models is None else sorted(limits.models)}


def _execute(statement: "Executable", data_dir: "Path | None") -> "Sequence[RowMapping]":
    return asyncio.run(_execute_once(statement, data_dir))


async def _execute_once(statement: "Executable", data_dir: "Path | None") -> "Sequence[RowMapping]":
    """Run one statement in the database that the API uses.

    Raises:
        CommandFailed: it cannot be reached, or is not migrated.
    """
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    from cli.exits import CommandFailed
    from cli.surroundings import look_around
    from common.database.connect import connect
    from common.settings import load_settings

    settings = load_settings()
    url = look_around(settings, data_dir).find("DATABASE_URL") or settings.database_url.get_secret_value()
    engine = connect(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            result: Any = await connection.execute(statement)
            return result.mappings().all() if result.returns_rows else []
    except ProgrammingError as error:
        raise CommandFailed("The database is not migrated: run `ultra migrate`.") from error
    except (DBAPIError, OSError) as error:
        raise CommandFailed("Cannot reach the database: set DATABASE_URL, or start `ultra up`.") from error
    finally:
        await engine.dispose()
