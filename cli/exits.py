"""How `ultra` ends: its exit codes, and the errors that choose one.

AppError
└── CommandFailed             one line on standard error that says what to do next
    ├── ServerUnreachable     4
    ├── ServerRefused         2, or 4 where waiting would help
    ├── KeyMalformed          2
    ├── NoTerminal            2
    └── WaitedTooLong         5
"""

from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from cli.printable import printable
from common.errors import AppError


class ExitCode(IntEnum):
    """Part of the interface: scripts branch on these."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    UNREACHABLE = 4
    TIMEOUT = 5
    INTERRUPTED = 130


class CommandFailed(AppError):
    """The command failed."""

    exit_code = ExitCode.FAILED


class ServerUnreachable(CommandFailed):
    """The server does not answer. `is_retryable` where it may have, and the answer was lost."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, url: str, reason: str, *, is_retryable: bool = False) -> None:
        self.is_retryable = is_retryable
        super().__init__(
            f"Cannot reach a server at {url} ({reason}). Start one with `ultra up`, or name another with --url."
        )


class ServerRefused(CommandFailed):
    """The server said no, and `detail` why."""

    def __init__(self, status: int, detail: str, *, retry_after_seconds: float | None = None) -> None:
        self.status = status
        self.is_retryable = status in {429, 503}
        # These and other failures of the server pass with time; the rest is for the caller to correct.
        is_theirs = self.is_retryable or status >= 500  # noqa: PLR2004
        self.exit_code = ExitCode.UNREACHABLE if is_theirs else ExitCode.USAGE
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class KeyMalformed(CommandFailed):
    """The API key has characters that no key has: see ULTRA_API_KEY or --key."""

    exit_code = ExitCode.USAGE


class NoTerminal(CommandFailed):
    """The menu asks its questions on a terminal, and there is none: use `ultra analyze PROMPT`."""

    exit_code = ExitCode.USAGE


class WaitedTooLong(CommandFailed):
    """The time ran out."""

    exit_code = ExitCode.TIMEOUT


def exit_code_of(status: str) -> ExitCode:
    """The code for a job that ended with this status."""
    return {"completed": ExitCode.COMPLETED, "partial": ExitCode.PARTIAL}.get(status, ExitCode.FAILED)


class ErrorsInOneLine(TyperGroup):
    """Commands whose expected errors are a line for people, not a traceback; bugs stay tracebacks."""

    def invoke(self, ctx: Any) -> object:
        """Run the command; an `AppError` ends it with a line on standard error and its exit code."""
        try:
            return super().invoke(ctx)
        except AppError as error:
            typer.echo(f"error: {printable(error.message)}", err=True)
            raise typer.Exit(getattr(error, "exit_code", ExitCode.FAILED)) from error
