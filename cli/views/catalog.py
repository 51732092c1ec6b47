"""The models of the catalog, for reading."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from cli.printable import printable
from common.contracts.models import ModelDocument


def model_table(models: Iterable[ModelDocument]) -> Table:
    """A line a model: its names, where it runs, and whether it can be asked."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    # an id that is broken over lines cannot be copied
    table.add_column("model", no_wrap=True)
    table.add_column("aliases")
    table.add_column("where")
    table.add_column("context", justify="right")
    table.add_column("state")
    for model in models:
        state = model.state or ("available" if model.available else "not available")
        table.add_row(
            model.id,
            ", ".join(model.aliases),
            "local" if model.local else model.provider,
            f"{model.context_window:,}" if model.context_window else "-",
            Text(
                f"{state}: {printable(model.reason)}" if model.reason else state, style="" if model.available else "dim"
            ),
        )
    return table
