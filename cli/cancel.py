"""`ultra jobs cancel`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import BeforeKeyOption, BeforeUrlOption, JsonOption

if TYPE_CHECKING:
    from cli.client import Server
    from cli.exits import ExitCode


def cancel(
    context: typer.Context,
    job_ids: Annotated[list[str], typer.Argument(metavar="ID", help="From `ultra jobs`.", show_default=False)],
    as_json: JsonOption = False,
    url: BeforeUrlOption = None,
    key: BeforeKeyOption = None,
) -> None:
    """End jobs and stop what their models are doing. One that has ended stays as it is.

    \b
    ultra jobs cancel 0192f0c1-… 0192f0c2-…
    ultra jobs --status queued --json | jq -r '.data[].id' | xargs ultra jobs cancel
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.each import server_of

    ids = list(dict.fromkeys(job_ids))
    raise typer.Exit(asyncio.run(_cancel(server_of(context, url, key), ids, as_json=as_json)))


async def _cancel(server: "Server", job_ids: list[str], *, as_json: bool) -> "ExitCode":
    from cli.client import Client
    from cli.each import Deed, do_each

    async with Client(server) as client:

        async def act(job_id: str) -> Deed:
            status = (await client.cancel(job_id))["status"]
            if status == "cancelled":
                return Deed("cancelled", "cancelled")
            return Deed("ended before", f"had ended before: {status}", {"status": status})

        return await do_each(job_ids, act, as_json=as_json)
