"""`ultra up`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import SecretStr


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on; ULTRA_HOST, else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="ULTRA_PORT, else 8000; 0 takes any free one.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept; ~/.local/share/ultrallm if left out.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Worker processes of each kind.")] = 1,
    lifecycle: Annotated[
        bool, typer.Option("--lifecycle", help="Models in containers too: needs Docker and `make runner-image`.")
    ] = False,
) -> None:
    """Start everything on this machine.

    That is Postgres, Valkey, a small model, workers and the API. DATABASE_URL, REDIS_URL and MODEL_RUNNER_URL name
    servers to use instead of starting those. Ctrl-C stops everything; the data stays.
    """
    from cli.embedded.datadir import REPLACEABLE, default_data_dir
    from cli.embedded.plan import EVERYTHING, LIFECYCLE
    from common.errors import ConfigError
    from common.settings import load_settings

    try:
        settings = load_settings()
    except ConfigError as error:
        typer.echo(f"error: {error.message}", err=True)
        raise typer.Exit(1) from error
    needs_model = settings.enable_model_runner and not settings.use_mock
    parts = [part for part in EVERYTHING if part != "model" or needs_model] + [LIFECYCLE] * lifecycle
    # Those named in .env count as much as those in the environment; the supervisor reads only the latter.
    named = {
        name: _plain(getattr(settings, name.lower()))
        for name in (*REPLACEABLE, "ULTRA_HOST")
        if name.lower() in settings.model_fields_set
    }
    arguments = [
        *("--host", host or settings.ultra_host),
        *("--port", str(settings.ultra_port if port is None else port)),
        *("--data-dir", str(data_dir or default_data_dir(os.environ))),
        *("--workers", str(workers)),
        *("--only", ",".join(parts)),
    ]
    # The supervisor lives as long as the stack: it replaces this process, and its memory.
    command = [sys.executable, "-P", "-m", "cli.embedded", *arguments]
    os.execve(sys.executable, command, {**os.environ, **named})  # noqa: S606  # no shell is wanted


def _plain(value: "SecretStr | str") -> str:
    return value if isinstance(value, str) else value.get_secret_value()
