"""`ultra jobs retry`."""

import asyncio
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from cli.options import BeforeKeyOption, BeforeUrlOption, JsonOption

if TYPE_CHECKING:
    from cli.client import Client, Server
    from cli.exits import ExitCode

MAX_JOBS = 1000
PAGE_JOBS = 100


class Ended(StrEnum):
    """How a job can have ended that somebody wants again."""

    FAILED = "failed"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


def retry(
    context: typer.Context,
    job_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="From `ultra jobs`.", show_default=False)
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Jobs with dead letters, see `ultra jobs dead`.")] = False,
    status: Annotated[Ended | None, typer.Option(help="Jobs that ended like this.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MAX_JOBS, help="With --dead or --status: the newest so many.")
    ] = 100,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    url: BeforeUrlOption = None,
    key: BeforeKeyOption = None,
) -> None:
    """Submit ended jobs again, as new jobs.

    The old ones stay as they are. Each is paid for again.

    A job that --dead or --status finds is retried once, however often the command is run. Exit code 1 if
    any was refused.

    \b
    ultra jobs retry 0192f0c1-…
    ultra jobs retry --dead
    ultra jobs retry --status failed --limit 20 --yes
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.each import server_of

    if (bool(job_ids) + dead + (status is not None)) != 1:
        raise typer.BadParameter("name jobs by their ids, or by --dead, or by --status")
    server = server_of(context, url, key)
    if job_ids:
        raise typer.Exit(asyncio.run(_retry(server, list(dict.fromkeys(job_ids)), as_json=as_json)))
    found = asyncio.run(_find(server, status, limit))
    if not found and not as_json:
        typer.echo("Nothing to retry.", err=True)
    elif not found or is_sure or _is_wanted(len(found)):
        raise typer.Exit(asyncio.run(_retry(server, found, as_json=as_json, prefix="ultra-jobs-retry-")))


def _is_wanted(count: int) -> bool:
    """Ask on the terminal.

    Raises:
        BadParameter: nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nothing was retried: say --yes to retry all {count} without being asked")
    return typer.confirm(f"Retry {count} job{'s' if count > 1 else ''}?", err=True)


async def _find(server: "Server", status: Ended | None, limit: int) -> list[str]:
    """Ids of ended jobs, newest first: with this status, or those with dead letters."""
    from cli.client import Client

    found: dict[str, None] = {}
    cursor: str | None = None
    async with Client(server) as client:
        while len(found) < limit:
            ids, cursor = await _page(client, status, cursor)
            found |= dict.fromkeys(ids)
            if cursor is None:
                break
    return list(found)[:limit]


async def _page(client: "Client", status: Ended | None, cursor: str | None) -> tuple[list[str], str | None]:
    from common.contracts.jobs import TERMINAL

    if status is not None:
        page = await client.page(limit=PAGE_JOBS, status=status.value, cursor=cursor)
        return [one.id for one in page.data], page.next_cursor
    letters = await client.dead_letters(limit=PAGE_JOBS, cursor=cursor)
    return [one.job_id for one in letters.data if one.job_status in TERMINAL], letters.next_cursor


async def _retry(server: "Server", job_ids: list[str], *, as_json: bool, prefix: str | None = None) -> "ExitCode":
    """With a `prefix` each job has one Idempotency-Key for ever, so that it is retried once; else one a command."""
    from cli.client import Client
    from cli.each import Deed, do_each

    command = prefix or f"{uuid4()}-"
    async with Client(server) as client:

        async def act(job_id: str) -> Deed:
            accepted, is_replay = await client.retry(job_id, idempotency_key=command + job_id)
            said = f"was retried before, as {accepted.id}" if is_replay else f"retried as {accepted.id}"
            return Deed("retried before" if is_replay else "retried", said, {"job_id": accepted.id})

        return await do_each(job_ids, act, as_json=as_json)
