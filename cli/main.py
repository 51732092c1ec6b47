"""The `ultra` command."""

from typing import Annotated

import typer

from cli.analyze import analyze
from cli.doctor import doctor
from cli.exits import ErrorsInOneLine
from cli.fleet import fleet
from cli.jobs import jobs, show
from cli.keys import keys
from cli.menu.command import menu
from cli.migrate import migrate
from cli.models import models
from cli.prune import prune
from cli.serve import serve
from cli.up import up
from cli.usage import usage
from cli.worker import worker

app = typer.Typer(
    cls=ErrorsInOneLine,
    no_args_is_help=True,
    add_completion=False,
    # Rich's help takes twice the time to appear, and breaks the lines of prose.
    rich_markup_mode=None,
    # its tracebacks would show local variables: keys, passwords, prompts
    pretty_exceptions_enable=False,
)
app.command()(analyze)
app.command()(menu)
app.command()(show)
app.add_typer(jobs, name="jobs")
app.add_typer(models, name="models")
app.add_typer(fleet, name="fleet")
app.command()(usage)
app.add_typer(keys, name="keys")
app.command()(prune)
app.command()(doctor)
app.command()(up)
app.command()(serve)
app.command()(worker)
app.command()(migrate)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        typer.echo(f"ultra {version('ultrallm')}")
        raise typer.Exit


@app.callback()
def ultra(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask many models at once, compare and judge their answers, as durable jobs.

    \b
    ultra up                             start everything on this machine
    ultra analyze "Why is the sky blue?" ask, in another terminal
    ultra doctor                         when something is wrong
    """  # noqa: D301  # \b keeps the examples' lines apart
