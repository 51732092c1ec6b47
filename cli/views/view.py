"""What every view of a running job offers."""

from types import TracebackType
from typing import Protocol, Self

from cli.transcript import Column, Transcript
from cli.watch import Event


class View(Protocol):
    """Entered before the first event, left before the report is printed."""

    def show(self, transcript: Transcript, event: Event, column: Column | None) -> None:
        """An event was applied; `column` is the one it changed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows nothing: for `--json` and `--quiet`."""

    def show(self, transcript: Transcript, event: Event, column: Column | None) -> None:
        """Look away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put away."""
