"""`ultra jobs`, what is below it, and `ultra show`."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cancel import cancel
from cli.dead_letters import dead
from cli.options import DEFAULT_URL, JsonOption, KeyOption, QuietOption, TimeoutOption, UrlOption
from cli.retry import retry

if TYPE_CHECKING:
    from rich.table import Table

    from cli.client import Server
    from cli.following import Manner
    from common.contracts.analyses import AnalysisPage, AnalysisSummary


class Status(StrEnum):
    """What a job can be."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


jobs = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
jobs.command()(retry)
jobs.command()(cancel)
jobs.command()(dead)


@jobs.callback()
def list_jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """List analyses, newest first; retry and cancel jobs.

    \b
    ultra jobs
    ultra jobs --status failed --limit 5
    ultra show $(ultra jobs --json | jq -r '.data[0].id')
    ultra jobs retry --status failed
    """  # noqa: D301  # \b keeps the examples' lines apart
    if context.invoked_subcommand is not None:
        return
    from cli.client import Server
    from cli.terminal import diagnostics, output, print_json

    page = asyncio.run(_page(Server(url, key), status, limit, cursor))
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    output().print(_table(page.data))
    if page.next_cursor:
        diagnostics().out(f"more: ultra jobs --limit {limit} --cursor {page.next_cursor}")


def show(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="From `ultra jobs`.", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay until it has ended.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    timeout: TimeoutOption = None,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """Show one analysis: its answers, how they compare, what it took. Ctrl-C leaves it running.

    Exit codes are those of `ultra analyze`; 0 also for an analysis that still runs.
    """
    from cli.client import Server
    from cli.following import Manner

    manner = Manner("json" if as_json else "text", is_quiet=quiet, timeout_seconds=timeout)
    raise typer.Exit(asyncio.run(_show(Server(url, key), job_id, manner, is_watched=watch)))


async def _page(server: "Server", status: Status | None, limit: int, cursor: str | None) -> "AnalysisPage":
    from cli.client import Client

    async with Client(server) as client:
        return await client.page(limit=limit, status=status.value if status else None, cursor=cursor)


async def _show(server: "Server", job_id: str, manner: "Manner", *, is_watched: bool) -> int:
    from cli.client import Client, is_finished
    from cli.exits import ExitCode, exit_code_of
    from cli.following import follow, show_document

    async with Client(server) as client:
        if is_watched:
            return await follow(client, job_id, manner)
        document = await client.document(job_id)
        show_document(document, manner)
        return exit_code_of(document["status"]) if is_finished(document) else ExitCode.COMPLETED


def _table(summaries: "list[AnalysisSummary]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from cli.views.report import STATUS_STYLES

    table = Table(box=None, pad_edge=False, header_style="dim")
    # an id that is broken over lines cannot be copied
    table.add_column("id", no_wrap=True)
    for name in ("status", "type", "calls", "created", "models"):
        table.add_column(name, justify="right" if name == "calls" else "left", overflow="fold")
    for one in summaries:
        table.add_row(
            one.id,
            Text(one.status, style=STATUS_STYLES.get(one.status, "cyan")),
            one.analysis_type,
            f"{one.progress.done}/{one.progress.total}",
            one.created_at[:19].replace("T", " "),
            "\n".join(model.asked for model in one.models),
        )
    return table
