"""`ultra worker`."""

from typing import Annotated

import typer


def worker(
    kind: Annotated[str, typer.Argument(help="control, cloud, local, or worker for all three.")] = "worker",
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Threads; the kind's own if left out.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of this node; the host name if left out.")] = None,
) -> None:
    """Run a worker. Start as many as you like, on as many machines as share the database and the broker."""
    from common.errors import ConfigError
    from common.settings import load_settings
    from worker.kinds import KINDS
    from worker.start import run_worker

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}")
    try:
        code = run_worker(load_settings(), KINDS[kind], threads=concurrency, name=name)
    except ConfigError as error:
        typer.echo(f"error: {error.message}", err=True)
        code = 1
    raise typer.Exit(code)
