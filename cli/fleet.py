"""`ultra fleet`, and `run`, `stop` and `logs` below it."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_URL, BeforeKeyOption, BeforeUrlOption, JsonOption, KeyOption, UrlOption

if TYPE_CHECKING:
    from cli.client import Client, Document, Server

LOOK_SECONDS = 0.5

Name = Annotated[str, typer.Argument(help="Id or alias; `local-` may be left out.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is so.")]

fleet = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@fleet.callback()
def show_fleet(
    context: typer.Context, as_json: JsonOption = False, url: UrlOption = DEFAULT_URL, key: KeyOption = None
) -> None:
    """Show the models in containers; start, stop and read them.

    \b
    ultra fleet
    ultra fleet run smollm2-transformers
    ultra fleet logs local-smollm2 --tail 50
    ultra fleet stop local-smollm2
    """  # noqa: D301  # \b keeps the examples' lines apart
    if context.invoked_subcommand is not None:
        return
    from cli.client import Client, Server
    from cli.terminal import output, print_json
    from cli.views.fleet import fleet_table
    from common.contracts.fleet import FleetStatus

    async def fetch() -> "Document":
        async with Client(Server(url, key)) as client:
            return await client.fleet()

    found = asyncio.run(fetch())
    if as_json:
        print_json(found)
    else:
        output().print(fleet_table(FleetStatus.model_validate(found)))


@fleet.command()
def run(
    context: typer.Context,
    name: Name,
    no_wait: NoWait = False,
    url: BeforeUrlOption = None,
    key: BeforeKeyOption = None,
) -> None:
    """Start a model, and wait until it is ready. Exit code 1 if it fails; it says why."""
    from cli.each import server_of

    asyncio.run(_see_through(server_of(context, url, key), name, "run", is_waited_for=not no_wait))


@fleet.command()
def stop(
    context: typer.Context,
    name: Name,
    drain: Annotated[
        float | None, typer.Option(min=0, max=3600, metavar="SECONDS", help="What calls in flight are given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="At once, whatever it is doing.")] = False,
    no_wait: NoWait = False,
    url: BeforeUrlOption = None,
    key: BeforeKeyOption = None,
) -> None:
    """Stop a model when it has finished what it is doing. A call that comes later starts it again."""
    from cli.each import server_of

    server = server_of(context, url, key)
    asyncio.run(_see_through(server, name, "stop", is_waited_for=not no_wait, drain_seconds=drain, force=force))


@fleet.command()
def logs(
    context: typer.Context,
    name: Name,
    tail: Annotated[int, typer.Option(min=1, max=2000, help="So many lines.")] = 200,
    url: BeforeUrlOption = None,
    key: BeforeKeyOption = None,
) -> None:
    """Show what a model's container wrote last."""
    from cli.client import Client
    from cli.each import server_of
    from cli.printable import printable

    async def fetch() -> "Document":
        async with Client(server_of(context, url, key)) as client:
            return await client.model_logs(name, tail)

    for line in asyncio.run(fetch())["lines"]:
        typer.echo(printable(line["text"]), err=line["stream"] == "stderr")


async def _see_through(
    server: "Server",
    name: str,
    what: str,
    *,
    is_waited_for: bool,
    drain_seconds: float | None = None,
    force: bool = False,
) -> None:
    """Ask for it, and say what happens until it is so."""
    from cli.client import Client

    async with Client(server) as client:
        if what == "run":
            begun = await client.run_model(name)
        else:
            begun = await client.stop_model(name, drain_seconds=drain_seconds, force=force)
        if begun["operation_id"] is None or not is_waited_for:
            typer.echo(f"{begun['model_id']}: {begun['state']}")
            return
        await _follow(client, begun["operation_id"])


async def _follow(client: "Client", operation_id: str) -> None:
    """Say each new state once.

    Raises:
        CommandFailed: it came to nothing.
    """
    from cli.exits import CommandFailed
    from cli.views.fleet import standing

    said = None
    while (operation := await client.operation(operation_id))["finished_at"] is None:
        line = standing(operation)
        if line != said:
            typer.echo(line, err=True)
        said = line
        await asyncio.sleep(LOOK_SECONDS)
    if operation["status"] != "completed":
        error = operation["error"] or {"message": operation["status"]}
        raise CommandFailed(f"{operation['model_id']}: {error['message']}")
    typer.echo(f"{operation['model_id']}: {operation['result']['state']}")
