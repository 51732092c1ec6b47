"""A running job in place: a panel a model, the comparison growing below them."""

import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli.transcript import Column, Transcript
from cli.views.fleet import waited_for
from cli.views.panels import Layout, head, layout, panel, side_by_side, tail
from cli.views.result import sections
from cli.watch import Event
from common import garbled_json

FRAMES_A_SECOND = 12
STATUS_LINES = 1
# of the screen, once a later round has begun
LATER_SHARE = 0.4
# A frame's time: a document that takes longer to read is shown as text.
LOOKS_A_FRAME = garbled_json.LOOKS_A_SECOND // FRAMES_A_SECOND


class LiveColumns:
    """Redraws itself until it is left, then leaves nothing behind: the report says it all."""

    def __init__(self, console: Console, on_interrupt: str) -> None:
        """`on_interrupt` tells the reader what Ctrl-C does."""
        self._console = console
        self._on_interrupt = on_interrupt
        self._transcript: Transcript | None = None
        self._status = "queued"
        self._started = time.monotonic()
        self._live = Live(
            get_renderable=self._frame, console=console, refresh_per_second=FRAMES_A_SECOND, transient=True
        )

    def show(self, transcript: Transcript, event: Event, column: Column | None) -> None:  # noqa: ARG002  # View's
        """Draw from this transcript with the next frame."""
        self._transcript = transcript
        self._status = event.data.get("status", self._status)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _frame(self) -> RenderableType:
        elapsed = f"{self._status} · {time.monotonic() - self._started:.1f} s · {self._on_interrupt}"
        status = Text(elapsed, style="dim")
        if self._transcript is None:
            return status
        return Group(*frame(self._transcript, self._console), status)


def frame(transcript: Transcript, console: Console) -> list[RenderableType]:
    """Everything seen, cut to the size of the screen: of each text its end."""
    width, height = console.size.width, console.size.height - STATUS_LINES
    later_lines = int(height * LATER_SHARE) if transcript.later else 0
    fit = layout(len(transcript.asked), width, height - later_lines)
    panels = [
        panel(column, place, _growing_text(column, console, fit), fit.panel_lines)
        for place, column in enumerate(transcript.asked)
    ]
    drawn: list[RenderableType] = [side_by_side(panels, fit.panels_a_row)]
    if transcript.later:
        room = layout(len(transcript.later), width, later_lines)
        drawn += [
            panel(
                replace(column, label=f"{column.model}, on the answers"),
                place,
                _growing_document(column, console, room),
                room.panel_lines,
            )
            for place, column in enumerate(transcript.later, start=len(transcript.asked))
        ]
    return drawn


def _growing_text(column: Column, console: Console, room: Layout) -> RenderableType:
    """What it said so far, or what it waits for."""
    if column.waiting is None:
        return tail(column.text, console, room.panel_characters, room.panel_lines)
    said = head(waited_for(column.waiting), console, room.panel_characters, room.panel_lines)
    said.stylize("dim")
    return said


def _growing_document(column: Column, console: Console, room: Layout) -> RenderableType:
    """JSON that is not finished yet, read as far as it goes; other text as it is."""
    text = column.text
    document = garbled_json.read(text, LOOKS_A_FRAME) if text.lstrip().startswith("{") else None
    if not isinstance(document, dict):
        return _growing_text(column, console, room)
    options = console.options.update(width=room.panel_characters)
    drawn = console.render_lines(Group(*sections(document)), options, pad=False)
    body = Text()
    for line in drawn[-room.panel_lines :]:
        body.append("".join(segment.text for segment in line).rstrip() + "\n")
    return body
