"""Doing the same to several jobs: a line for each, and an exit code that says whether all went well."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import typer

from cli.exits import CommandFailed, ExitCode, ServerRefused
from cli.options import DEFAULT_URL
from cli.printable import printable
from cli.terminal import diagnostics, output, print_json

if TYPE_CHECKING:
    from cli.client import Server


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done to one job: `outcome` in a word, `said` in a few, and what else programs should know."""

    outcome: str
    said: str
    more: dict[str, str] = field(default_factory=dict)


async def do_each(job_ids: Sequence[str], act: Callable[[str], Awaitable[Deed]], *, as_json: bool) -> ExitCode:
    """Act on one job after the other, and tell what came of each as it comes; FAILED if any was refused.

    A server that takes nothing now is not asked about the others.
    """
    told: list[dict[str, Any]] = []
    left: Sequence[str] = ()
    for place, job_id in enumerate(job_ids):
        try:
            deed = await act(job_id)
        except CommandFailed as error:
            reason = _reason(error)
            told.append({"id": job_id, "outcome": "refused", "error": reason})
            if not as_json:
                diagnostics().out(f"{job_id} refused: {printable(reason)}")
            if error.exit_code is ExitCode.UNREACHABLE:
                left = job_ids[place + 1 :]
                break
        else:
            told.append({"id": job_id, "outcome": deed.outcome, **deed.more})
            if not as_json:
                output().out(f"{job_id} {deed.said}")
    if as_json:
        print_json({"data": told, "not_tried": list(left)})
    elif left:
        diagnostics().out(f"{len(left)} more not tried: run the command again when the server takes work.")
    return ExitCode.FAILED if any(one["outcome"] == "refused" for one in told) else ExitCode.COMPLETED


def server_of(context: typer.Context, url: str | None, key: str | None) -> "Server":
    """The server of a command below `ultra jobs`: its own options', or else those given before its name."""
    from cli.client import Server

    before = context.parent.params if context.parent else {}
    return Server(url or before.get("url", DEFAULT_URL), key or before.get("key"))


def _reason(error: CommandFailed) -> str:
    if isinstance(error, ServerRefused) and error.status == HTTPStatus.NOT_FOUND:
        return f"{error.message} `ultra jobs` lists those that this key may see."
    return error.message
