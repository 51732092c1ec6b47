"""The command line of `llm`, of Datasette's author, pointed at an endpoint that is compatible with OpenAI's."""

import contextlib
import io
import sys
from collections.abc import Callable

import click
from facts import BREAKING, HELLO, MODEL, NOBODY, WEATHER, tell
from llm.cli import cli

URL, INTERFACE = sys.argv[1:]
TARGET = [URL, "--responses"] if INTERFACE == "responses" else [URL]
# Python that it runs; every function in it is a tool.
FUNCTIONS = "from facts import weather"


class Listening(io.StringIO):
    """What a command prints, told as it comes."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__()
        self._hear = hear

    def write(self, text: str) -> int:
        written = super().write(text)
        self._hear(text)
        return written


def run(*arguments: str, hear: Callable[[str], None] = lambda _: None) -> str:
    """What `llm openai endpoint URL ARGUMENTS` prints.

    Raises:
        click.ClickException: it fails; the command would print this and exit with 1.
    """
    with contextlib.redirect_stdout(Listening(hear)) as printed:
        cli.main(["openai", "endpoint", *TARGET, *arguments], standalone_mode=False)
    return printed.getvalue().strip()


tell("listed", run("--models").splitlines())

tell("said", run("-m", MODEL, "--no-stream", HELLO))

pieces: list[str] = []
run("-m", MODEL, HELLO, hear=pieces.append)
tell("streamed", pieces)

tell("concluded", run("-m", MODEL, "--functions", FUNCTIONS, WEATHER))

try:
    run("-m", NOBODY, HELLO)
except click.ClickException as error:
    tell("refused", [type(error).__name__, error.message])

try:
    run("-m", BREAKING, HELLO, hear=lambda text: tell("heard", text))
    tell("ended", "as if it were whole")
except click.ClickException as error:
    tell("broke", [type(error).__name__, error.message])
