"""`ultra models`."""

import asyncio
from typing import TYPE_CHECKING, Any

from cli.options import DEFAULT_URL, JsonOption, KeyOption, UrlOption

if TYPE_CHECKING:
    from rich.table import Table


def models(as_json: JsonOption = False, url: UrlOption = DEFAULT_URL, key: KeyOption = None) -> None:
    """List the models that may be asked.

    \b
    ultra models
    ultra models --json | jq -r '.data[] | select(.local) | .id'
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.client import Server
    from cli.terminal import output, print_json

    catalog = asyncio.run(_fetch(Server(url, key)))
    if as_json:
        print_json(catalog)
    else:
        output().print(_table(catalog["data"]))


async def _fetch(server: Any) -> dict[str, Any]:
    from cli.client import Client

    async with Client(server) as client:
        return await client.models()


def _table(entries: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("model", "aliases", "where", "state"):
        table.add_column(name, overflow="fold")
    table.add_column("context", justify="right")
    for entry in entries:
        window = entry.get("context_window")
        table.add_row(
            entry["id"],
            ", ".join(entry.get("aliases") or []),
            "local" if entry.get("local") else entry.get("provider", ""),
            _state(entry),
            f"{window:,}" if window else "-",
        )
    return table


def _state(entry: dict[str, Any]) -> str:
    if entry.get("state"):
        return str(entry["state"])
    return "available" if entry.get("available") else "away"
