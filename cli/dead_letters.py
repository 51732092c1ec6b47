"""`ultra jobs dead`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import BeforeKeyOption, BeforeUrlOption, JsonOption

if TYPE_CHECKING:
    from rich.table import Table

    from cli.client import Server
    from common.contracts.dead_letters import DeadCall, DeadPage


def dead(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    as_json: JsonOption = False,
    url: BeforeUrlOption = None,
    key: BeforeKeyOption = None,
) -> None:
    """List calls that were given up, newest first.

    Worker after worker fell silent on them. Find out what they do to workers before you retry their jobs:
    docs/operations.md says how.

    \b
    ultra jobs dead
    ultra jobs retry --dead
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.each import server_of
    from cli.terminal import diagnostics, output, print_json

    page = asyncio.run(_fetch(server_of(context, url, key), limit, cursor))
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    output().print(_table(page.data))
    if page.next_cursor:
        diagnostics().out(f"more: ultra jobs dead --limit {limit} --cursor {page.next_cursor}")


async def _fetch(server: "Server", limit: int, cursor: str | None) -> "DeadPage":
    from cli.client import Client

    async with Client(server) as client:
        return await client.dead_letters(limit=limit, cursor=cursor)


def _table(letters: "list[DeadCall]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    # ids that are broken over lines cannot be copied
    table.add_column("job", no_wrap=True)
    table.add_column("its status", no_wrap=True)
    table.add_column("model", overflow="fold")
    for name in ("attempts", "silences"):
        table.add_column(name, justify="right")
    table.add_column("died", no_wrap=True)
    for one in letters:
        table.add_row(
            one.job_id,
            one.job_status,
            one.model,
            str(one.attempts),
            str(one.silences),
            one.died_at[:19].replace("T", " "),
        )
    return table
