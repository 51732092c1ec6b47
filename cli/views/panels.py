"""Models side by side where the terminal is wide enough, one above the other where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.transcript import Column
from cli.views.figures import outcome

MIN_COLUMN_CHARACTERS = 38
MIN_PANEL_LINES = 3
BORDER_LINES = 2
# frame and padding, left and right
BORDER_CHARACTERS = 4
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")


@dataclass(frozen=True, slots=True)
class Layout:
    """`panel_lines` is the text a panel shows, without its frame."""

    panels_a_row: int
    panel_lines: int
    panel_characters: int


def layout(count: int, width: int, height: int) -> Layout:
    """How `count` panels share `width` characters and `height` lines; at least 3 lines each."""
    panels_a_row = max(1, min(count, width // MIN_COLUMN_CHARACTERS))
    rows = -(-count // panels_a_row)
    lines = max(MIN_PANEL_LINES, height // rows - BORDER_LINES)
    return Layout(panels_a_row, lines, width // panels_a_row - BORDER_CHARACTERS)


def side_by_side(panels: Sequence[RenderableType], panels_a_row: int) -> Table:
    """The panels in rows of equal columns."""
    grid = Table.grid(expand=True)
    for _ in range(panels_a_row):
        grid.add_column(ratio=1)
    for start in range(0, len(panels), panels_a_row):
        grid.add_row(*panels[start : start + panels_a_row])
    return grid


def panel(column: Column, place: int, body: RenderableType, lines: int | None = None) -> Panel:
    """One model's frame: who, what, and how it stands. `lines` fixes its height."""
    return Panel(
        body,
        title=Text(column.label, style="bold"),
        title_align="left",
        subtitle=Text(_standing(column), style="red" if column.status == "failed" else "dim"),
        subtitle_align="right",
        border_style=COLOURS[place % len(COLOURS)],
        height=lines + BORDER_LINES if lines else None,
    )


def head(text: str, console: Console, width: int, lines: int) -> Text:
    """The first lines of a text that says the most important first."""
    wrapped = Text(text[: width * lines]).wrap(console, max(width, 1))
    return Text("\n").join(wrapped[:lines])


def tail(text: str, console: Console, width: int, lines: int) -> Text:
    """The last lines of a text that is still growing."""
    recent = text[-4 * width * lines :]
    wrapped = Text(recent).wrap(console, max(width, 1))
    return Text("\n").join(wrapped[-lines:])


def _standing(column: Column) -> str:
    if column.answer is not None:
        return outcome(column.answer)
    status = "waiting" if column.waiting is not None else column.status
    return f"{status}, attempt {column.attempt}" if column.attempt > 1 else status
