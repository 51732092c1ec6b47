"""`ultra models`."""

import asyncio
from typing import TYPE_CHECKING

from cli.options import DEFAULT_URL, JsonOption, KeyOption, UrlOption

if TYPE_CHECKING:
    from rich.table import Table

    from cli.client import Document, Server
    from common.contracts.models import ModelDocument


def models(as_json: JsonOption = False, url: UrlOption = DEFAULT_URL, key: KeyOption = None) -> None:
    """List the models that may be asked.

    \b
    ultra models
    ultra models --json | jq -r '.data[] | select(.local) | .id'
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.client import Server
    from cli.terminal import output, print_json
    from common.contracts.models import ModelList

    catalog = asyncio.run(_fetch(Server(url, key)))
    if as_json:
        print_json(catalog)
    else:
        output().print(_table(ModelList.model_validate(catalog).data))


async def _fetch(server: "Server") -> "Document":
    from cli.client import Client

    async with Client(server) as client:
        return await client.models()


def _table(models: "list[ModelDocument]") -> "Table":
    from rich.table import Table
    from rich.text import Text

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
            Text(f"{state}: {model.reason}" if model.reason else state, style="" if model.available else "dim"),
        )
    return table
