"""`ultra usage`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_URL, JsonOption, KeyOption, UrlOption

if TYPE_CHECKING:
    from cli.client import Document, Server


def usage(
    days: Annotated[int, typer.Option("--days", "-d", min=1, max=366, help="So many days, today included.")] = 30,
    by: Annotated[str, typer.Option("--by", metavar="A,B", help="day, model, key.")] = "day,model",
    source: Annotated[
        str | None, typer.Option("--source", metavar="S", help="job or gateway: only those; both if left out.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """Show what calls came to: tokens, cost, latency, failures. Days are UTC days.

    \b
    ultra usage
    ultra usage --days 7 --by model
    ultra usage --source gateway --by model
    ultra usage --by key --json | jq '.data[] | {key, cost_usd}'
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.client import Server
    from cli.terminal import diagnostics, output, print_json
    from cli.views.usage import remarks, usage_table
    from common.contracts.usage import UsageReport

    document = asyncio.run(_fetch(Server(url, key), days, by.replace(" ", ""), source))
    if as_json:
        print_json(document)
        return
    report = UsageReport.model_validate(document)
    output().print(usage_table(report))
    for remark in remarks(report):
        diagnostics().out(remark)


async def _fetch(server: "Server", days: int, by: str, source: str | None) -> "Document":
    from datetime import UTC, datetime, timedelta

    from cli.client import Client

    first_day = datetime.now(UTC).date() - timedelta(days=days - 1)
    async with Client(server) as client:
        return await client.usage(first_day=first_day.isoformat(), group_by=by, source=source)
