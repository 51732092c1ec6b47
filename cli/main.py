"""The `ultra` command."""

import typer

from cli.migrate import migrate
from cli.up import up
from cli.worker import worker

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Ask many models at once and compare their answers.")
app.command()(migrate)
app.command()(worker)
app.command()(up)
