"""`ultra analyze`."""

import asyncio
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_URL, JsonOption, KeyOption, QuietOption, TimeoutOption, UrlOption

if TYPE_CHECKING:
    from cli.client import Server
    from cli.following import Manner
    from common.contracts.analyses import AnalysisRequest


class OutputFormat(StrEnum):
    """What standard output carries: words, one JSON document, or Markdown."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def analyze(
    prompt: Annotated[str, typer.Argument(help="The question; - reads it from standard input.", show_default=False)],
    models: Annotated[
        list[str] | None,
        typer.Option("--models", "-m", metavar="A,B", help="Ids or aliases; the server's default set if left out."),
    ] = None,
    analysis_type: Annotated[
        str, typer.Option("--type", "-t", help="comparative, factual or one of your own.")
    ] = "comparative",
    output_format: Annotated[OutputFormat, typer.Option("--format", "-f")] = OutputFormat.TEXT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    lead: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Compares the answers; the catalog's, or else the first model.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge/--no-merge", help="Whether a lead model compares the answers.")
    ] = True,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="System prompt for every model.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer, in tokens.")] = None,
    call_timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Deadline of each model's answer.")
    ] = None,
    timeout: TimeoutOption = None,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """Ask several models at once and compare their answers.

    A terminal shows the answers side by side as they grow; a pipe gets lines, `model │ text`. The job
    belongs to the server: closing the terminal does not stop it, Ctrl-C does.

    \b
    ultra analyze "Why is the sky blue?"
    ultra analyze "Tabs or spaces?" --models gpt4,claude --lead claude
    git diff | ultra analyze - --system "Review this change." --no-merge
    ultra analyze "Who was Ada Lovelace?" --type factual --json | jq .result.claims
    ultra analyze "Compare TCP and QUIC" --format markdown > comparison.md

    Exit codes: 0 completed, 1 failed or cancelled by others, 2 usage (also what the server refuses),
    3 partial: some model did not answer, 4 the server cannot be reached or cannot take work now,
    5 --timeout ran out (the job goes on), 130 interrupted (the job is cancelled).
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.client import Server
    from cli.following import Manner

    wanted = OutputFormat.JSON if as_json else output_format
    options = {
        "system": system,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "timeout_seconds": call_timeout,
        "merge": None if merge else False,
    }
    fields = {
        "prompt": _read_input() if prompt == "-" else prompt,
        "analysis_type": analysis_type,
        "models": [name.strip() for some in models or [] for name in some.split(",") if name.strip()] or None,
        "output_format": wanted.value,
        "lead_model": lead,
        "options": {name: value for name, value in options.items() if value is not None} or None,
    }
    request = _validated({name: value for name, value in fields.items() if value is not None})
    manner = Manner(wanted.value, is_quiet=quiet, timeout_seconds=timeout)
    raise typer.Exit(asyncio.run(_analyze(Server(url, key), request, manner)))


async def _analyze(server: "Server", request: "AnalysisRequest", manner: "Manner") -> int:
    from cli.client import Client
    from cli.following import submit_and_follow

    async with Client(server) as client:
        return await submit_and_follow(client, request, manner)


def _validated(fields: dict[str, object]) -> "AnalysisRequest":
    """The request; what the server would refuse for its form is refused here, in the same words."""
    from pydantic import ValidationError

    from common.contracts.analyses import AnalysisRequest

    try:
        return AnalysisRequest.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error


def _read_input() -> str:
    return sys.stdin.buffer.read().decode(errors="replace")
