"""A running job as plain lines, `model │ text`: for pipes, logs and terminals that cannot redraw."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from cli.transcript import Column, Transcript, Waiting
from cli.views.figures import outcome
from cli.views.fleet import waited_for
from cli.watch import Event

LINE_CHARACTERS = 96


class Lines:
    """Prints each model's text as it comes, a line at a time, so that lines of models never mix."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """`write` is handed whole lines without their newline."""
        self._write = write
        self._printed: dict[int, str] = {}
        self._waited: dict[int, Waiting] = {}

    def show(self, transcript: Transcript, event: Event, column: Column | None) -> None:
        """Print what this event completed."""
        if column is None:
            return
        width = max(len(one.label) for one in (*transcript.asked, *transcript.later))
        prefix = f"{column.label:<{width}} │ "
        if column.waiting is not None:
            self._show_waiting(column, column.waiting, prefix)
        elif column in transcript.later:
            # its text is the document that the report shows; halves of it help nobody
            if event.name == "call.started":
                self._write(f"{prefix}comparing the answers…")
        else:
            self._show_text(event, column, prefix)
        if column.answer is not None and event.name in {"call.finished", "call.failed"}:
            self._write(f"{prefix}({outcome(column.answer)})")

    def _show_waiting(self, column: Column, waiting: Waiting, prefix: str) -> None:
        """A line a state: how many bytes are here would be a line a second."""
        known, self._waited[id(column)] = self._waited.get(id(column)), waiting
        if known is None or (known.model, known.state, known.reason) != (waiting.model, waiting.state, waiting.reason):
            self._write(f"{prefix}({waited_for(waiting)})")

    def _show_text(self, event: Event, column: Column, prefix: str) -> None:
        printed = self._printed.get(id(column), "")
        if not column.text.startswith(printed):
            self._write(f"{prefix}(attempt {column.attempt}, from the beginning)")
            printed = ""
        is_ended = event.name in {"call.finished", "call.failed"}
        lines, rest = whole_lines(column.text[len(printed) :], is_ended=is_ended)
        for line in lines:
            self._write(f"{prefix}{line}".rstrip())
        self._printed[id(column)] = column.text[: len(column.text) - len(rest)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is out already."""


def whole_lines(text: str, *, is_ended: bool, width: int = LINE_CHARACTERS) -> tuple[list[str], str]:
    """The lines that can be printed now, and the rest to keep: `width` at most, broken at spaces."""
    *lines, last = text.split("\n")
    broken = [piece for line in lines for piece in _broken(line, width)]
    *full, last = _broken(last, width)
    return ([*broken, *full, last], "") if is_ended and last else ([*broken, *full], last)


def _broken(line: str, width: int) -> list[str]:
    """The line in pieces; put together again they are the line."""
    pieces = []
    while len(line) > width:
        cut = line.rfind(" ", 0, width) + 1 or width
        pieces.append(line[:cut])
        line = line[cut:]
    return [*pieces, line]
