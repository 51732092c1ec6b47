"""`ultra worker`."""

from typing import Annotated

import typer

# One a node, and one thread: it looks after the node's containers of models.
LIFECYCLE = "lifecycle"


def worker(
    kind: Annotated[str, typer.Argument(help="control, cloud, local, worker for all three, or lifecycle.")] = "worker",
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Threads; the kind's own if left out.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "--node", help="Name of this node; the host name if left out.")
    ] = None,
) -> None:
    """Run a worker. Start as many as you like, on as many machines as share the database and the broker."""
    from common.errors import ConfigError
    from common.settings import load_settings
    from worker.kinds import KINDS
    from worker.lifecycle.worker import run_lifecycle_worker
    from worker.start import run_worker

    if kind not in {*KINDS, LIFECYCLE}:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join([*KINDS, LIFECYCLE])}")
    try:
        if kind == LIFECYCLE:
            code = run_lifecycle_worker(load_settings(), node=name)
        else:
            code = run_worker(load_settings(), KINDS[kind], threads=concurrency, name=name)
    except ConfigError as error:
        typer.echo(f"error: {error.message}", err=True)
        code = 1
    raise typer.Exit(code)
