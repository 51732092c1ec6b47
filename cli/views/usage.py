"""A report of usage as a table, and what should be known about its figures."""

from rich.table import Table

from cli.views.figures import duration
from common.contracts.usage import Dimension, UsageFigures, UsageReport, UsageRow

NUMBERS = ("calls", "failed", "cached", "tokens in", "tokens out", "cost", "p50", "p95", "first", "tok/s")


def usage_table(report: UsageReport) -> Table:
    """A line a group, and one for them all."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for dimension in report.group_by:
        table.add_column(dimension, no_wrap=dimension == "day", overflow="fold")
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.data:
        table.add_row(*(_named(row, name) for name in report.group_by), *_cells(row))
    table.add_row("all", *[""] * (len(report.group_by) - 1), *_cells(report.totals), style="bold")
    return table


def remarks(report: UsageReport) -> list[str]:
    """What the table does not say."""
    said = []
    if unpriced := report.totals.unpriced_calls:
        answers = "1 answer has" if unpriced == 1 else f"{unpriced:,} answers have"
        said.append(f"{answers} no known price and {'is' if unpriced == 1 else 'are'} not in the cost.")
    if report.truncated:
        said.append(f"Only {len(report.data):,} groups are shown; ask for fewer days, or group by less.")
    return said


def _named(row: UsageRow, dimension: Dimension) -> str:
    if dimension == "day":
        return str(row.day)
    if dimension == "model":
        return row.model or "-"
    return row.key or row.key_id or "-"


def _cells(figures: UsageFigures) -> tuple[str, ...]:
    return (
        f"{figures.calls:,}",
        f"{figures.failed:,}",
        f"{figures.cached:,}",
        f"{figures.prompt_tokens:,}",
        f"{figures.completion_tokens:,}",
        _cost(figures),
        duration(figures.latency_ms.p50),
        duration(figures.latency_ms.p95),
        duration(figures.time_to_first_token_ms.p50),
        "-" if figures.tokens_per_second is None else f"{figures.tokens_per_second:,.0f}",
    )


def _cost(figures: UsageFigures) -> str:
    """Dollars; with a + where there is more that is not known, a dash where nothing is."""
    if figures.cost_usd is None:
        return "-"
    return f"${figures.cost_usd:,.4f}{'+' if figures.unpriced_calls else ''}"
