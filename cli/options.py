"""Options that several commands share, so that they read and behave the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

UrlOption = Annotated[str, typer.Option("--url", envvar="ULTRA_URL", help="The server.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="ULTRA_API_KEY",
        help="API key; prefer the variable, a command line is visible to others.",
    ),
]
# Of commands below one that has them too: `ultra jobs --url URL retry ID` and `ultra jobs retry ID --url URL` are one.
BeforeUrlOption = Annotated[str | None, typer.Option("--url", help="The server; ULTRA_URL if left out.")]
BeforeKeyOption = Annotated[str | None, typer.Option("--key", help="API key; ULTRA_API_KEY if left out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and nothing else.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long to wait; the job goes on after that."),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Of the embedded stack, if it is not the usual one.")
]

DEFAULT_URL = "http://127.0.0.1:8000"
