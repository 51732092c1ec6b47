"""A result document as sections: paragraphs, bullets and tables by the shape of each field.

Nothing here knows an analysis type, so those that come later are shown too.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.printable import printable

# jsonb keeps no order of keys, so ours is said here: what a reader wants first. Others follow by name.
READING_ORDER = (
    *("answer", "summary", "agreements", "disagreements", "claims", "ranking", "recommendation", "confidence"),
    *("model", "score", "claim", "verdict", "why", "support"),
)


def sections(result: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A heading and a body for each field that has something to say."""
    for name in _in_order(result):
        value = result[name]
        if name == "parsed" or value in (None, "", [], {}):
            continue
        heading = Text(_title(name).capitalize(), style="bold")
        yield Group(heading, Padding(_body(value), (0, 0, 1, 2)))


def _body(value: Any) -> RenderableType:
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return _table(value)
    if isinstance(value, list):
        return _bullets(value)
    return _text(value)


def _in_order(names: Iterable[str]) -> list[str]:
    known = {name: place for place, name in enumerate(READING_ORDER)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def _bullets(items: list[Any]) -> Table:
    grid = Table.grid(padding=(0, 1))
    for item in items:
        grid.add_row("•", _text(item))
    return grid


def _table(rows: list[Mapping[str, Any]]) -> Table:
    names = _in_order({name for row in rows for name in row})
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        is_number = all(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(Text(_title(name)), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(_text(row.get(name, "")) for name in names))
    return table


def _title(name: str) -> str:
    """A document that is still growing has whatever fields its model writes."""
    return printable(name.replace("_", " "))


def _text(value: Any) -> Text:
    return Text(printable(value if isinstance(value, str) else str(value)))
