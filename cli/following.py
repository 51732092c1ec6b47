"""Following one analysis on this terminal, from its submission or from its id, to its exit code."""

import asyncio
import sys
import uuid
from contextlib import aclosing, suppress
from dataclasses import dataclass

from cli.client import Client, Document
from cli.exits import CommandFailed, ExitCode, WaitedTooLong, exit_code_of
from cli.printable import printable
from cli.terminal import diagnostics, output, print_json
from cli.transcript import Transcript
from cli.views.lines import Lines
from cli.views.live import LiveColumns
from cli.views.report import report
from cli.views.view import Silent, View
from cli.watch import watch
from common.contracts.analyses import AnalysisDocument, AnalysisRequest, AskedModel, JobAccepted, OutputFormat

# A cancel that takes longer is left to the server's own deadlines.
CANCEL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How to show a job, and for how long. `json` and `markdown` keep standard output for the document."""

    output_format: OutputFormat
    is_quiet: bool = False
    timeout_seconds: float | None = None


async def submit(client: Client, request: AnalysisRequest) -> JobAccepted:
    """Submit; interrupted half-way, find out whether a job came of it, and cancel it."""
    submission = asyncio.create_task(client.submit(request, str(uuid.uuid4())))
    try:
        return await asyncio.shield(submission)
    except asyncio.CancelledError:
        with suppress(TimeoutError, CommandFailed):
            async with asyncio.timeout(CANCEL_SECONDS):
                await client.cancel((await submission).id)
        raise


async def submit_and_follow(client: Client, request: AnalysisRequest, manner: Manner) -> ExitCode:
    """Submit, show, report. Cancelled from outside (Ctrl-C), it has the job cancelled too.

    Raises:
        WaitedTooLong: the time ran out; an accepted job goes on.
    """
    deadline = _deadline(manner)
    try:
        async with asyncio.timeout_at(deadline):
            accepted = await submit(client, request)
    except TimeoutError as error:
        raise WaitedTooLong("The server did not accept the job in time.") from error
    try:
        view = _view(manner, on_interrupt="Ctrl-C cancels")
        return await _follow(client, accepted.id, accepted.models, manner, view, deadline)
    except asyncio.CancelledError:
        with suppress(TimeoutError, CommandFailed):
            async with asyncio.timeout(CANCEL_SECONDS):
                await client.cancel(accepted.id)
                diagnostics().out(f"cancelled; what there is: ultra show {accepted.id}")
        raise


async def follow(client: Client, job_id: str, manner: Manner) -> ExitCode:
    """Show a job that was submitted earlier. Leaving it leaves it running.

    Raises:
        WaitedTooLong: the time ran out; the job goes on.
    """
    deadline = _deadline(manner)
    document = AnalysisDocument.model_validate(await client.document(job_id))
    view = _view(manner, on_interrupt="Ctrl-C leaves it running")
    return await _follow(client, job_id, document.models, manner, view, deadline)


def show_document(document: Document, manner: Manner, *, with_answers: bool = True) -> None:
    """Print the document, final or not, in the manner asked for."""
    analysis = AnalysisDocument.model_validate(document)
    if manner.output_format == "json":
        print_json(document)
    elif manner.is_quiet or manner.output_format == "markdown":
        if analysis.text is not None:
            output().out(printable(analysis.text))
        if analysis.error is not None:
            diagnostics().out(f"error: {printable(analysis.error.message)}")
    else:
        console = output()
        console.print(report(analysis, console, with_answers=with_answers))


async def _follow(
    client: Client, job_id: str, models: list[AskedModel], manner: Manner, view: View, deadline: float | None
) -> ExitCode:
    transcript = Transcript.of(models)
    come_back = f"The job goes on: ultra show {job_id} --watch"
    try:
        with view:
            async with asyncio.timeout_at(deadline), aclosing(watch(client, job_id)) as events:
                async for event in events:
                    view.show(transcript, event, transcript.apply(event))
                    final = event.data
    except TimeoutError as error:
        raise WaitedTooLong(f"Not finished within {manner.timeout_seconds:g} s. {come_back}") from error
    except CommandFailed as error:
        error.message += f" {come_back}"
        raise
    show_document(final, manner, with_answers=not isinstance(view, Lines))
    return exit_code_of(final["status"])


def _view(manner: Manner, on_interrupt: str) -> View:
    """Standard output shows the job if it is for people; standard error may, if that is a terminal."""
    if manner.is_quiet:
        return Silent()
    if manner.output_format != "text":
        return LiveColumns(diagnostics(), on_interrupt) if sys.stderr.isatty() else Silent()
    console = output()
    can_redraw = console.is_terminal and not console.is_dumb_terminal
    return LiveColumns(console, on_interrupt) if can_redraw else Lines(console.out)


def _deadline(manner: Manner) -> float | None:
    if manner.timeout_seconds is None:
        return None
    return asyncio.get_running_loop().time() + manner.timeout_seconds
