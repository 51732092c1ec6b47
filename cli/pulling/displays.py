"""Pulls on a terminal, as bars; anywhere else, as a line at every tenth."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as Bar,
)

from cli.pulling.names import Wanted
from cli.pulling.puller import Progress
from cli.pulling.pulls import Outcome

PARTS = 10


class Bars:
    """One bar a model, all in sight, for as long as the context is open."""

    def __init__(self, models: list[Wanted], console: Console) -> None:
        self._bars = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False, style="dim"),
            console=console,
        )
        self._tasks: dict[Wanted, TaskID] = {
            model: self._bars.add_task(model.name, start=False, total=None, note="waiting") for model in models
        }

    def progress(self, model: Wanted, progress: Progress) -> None:
        """See `Display.progress`."""
        task = self._tasks[model]
        self._bars.start_task(task)
        self._bars.update(task, completed=progress.done_bytes, total=progress.total_bytes, note=progress.note)

    def outcome(self, outcome: Outcome) -> None:
        """See `Display.outcome`. A whole bar is a full one, whatever its size came to be."""
        task = self._tasks[outcome.model]
        if outcome.status != "failed":
            self._bars.update(task, total=outcome.bytes_ or 1, completed=outcome.bytes_ or 1)
        self._bars.update(task, note=outcome.status)
        self._bars.stop_task(task)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


class Lines:
    """For logs: no line twice, and none for what has hardly changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[Wanted, object] | None = None

    def progress(self, model: Wanted, progress: Progress) -> None:
        """See `Display.progress`."""
        total = progress.total_bytes
        part = progress.done_bytes * PARTS // total if total else None
        state = progress.note or part
        if state is None or (model, state) == self._last:
            return
        self._last = (model, state)
        far = f"{decimal(progress.done_bytes)} of {decimal(total)}" if total else decimal(progress.done_bytes)
        self._console.out(f"{model.name}: {progress.note or far}", highlight=False)

    def outcome(self, outcome: Outcome) -> None:
        """See `Display.outcome`. The command's own output says it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to take away."""
