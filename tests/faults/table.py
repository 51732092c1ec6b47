"""The table of a run, for a terminal and for docs/reliability-table.md."""

import os
import platform
from collections.abc import Sequence
from datetime import date

from rich.table import Table

from tests.faults.run import Result

HEADS = (
    "fault",
    "times",
    "calls",
    "in flight",
    "lost",
    "asked again",
    "late writes refused",
    "recovery p50 / p99",
    "verdict",
)


def cells(result: Result) -> tuple[str, ...]:
    """One line, in the order of `HEADS`."""
    if result.skipped:
        return (result.row.name, "0", "", "", "", "", "", "", f"skipped: {result.skipped}")
    median, p99 = result.recovery_median, result.recovery_p99
    recovery = "" if median is None or p99 is None else f"{median:.1f} / {p99:.1f} s"
    if recovery and result.row.limit_seconds < 1e9:
        recovery += f" (≤ {result.row.limit_seconds:g})"
    lost = sum(
        one.startswith(("acknowledged_jobs_end", "stored_jobs_end", "calls_end_once")) for one in result.violations
    )
    return (
        result.row.name,
        str(result.times),
        f"{result.calls:,}",
        str(result.in_flight),
        str(lost),
        f"{result.asked_again:,}",
        f"{result.late_writes:,}",
        recovery,
        "passed" if result.has_passed else f"FAILED ({len(result.violations)})",
    )


def terminal(results: Sequence[Result]) -> Table:
    table = Table(*HEADS)
    for result in results:
        table.add_row(*cells(result), style=None if result.has_passed else "red")
    return table


def markdown(results: Sequence[Result], seed: int) -> str:
    """The page as `make faults` leaves it."""
    lines = [
        "# The fault matrix, as last run",
        "",
        (
            f"Written by `make faults` on {date.today().isoformat()}, seed {seed}, {os.cpu_count()} cores, "  # noqa: DTZ011
            f"Python {platform.python_version()}. How each line is judged: [reliability.md](reliability.md)."
        ),
        "",
        f"| {' | '.join(HEADS)} |",
        f"|{' --- |' * len(HEADS)}",
        *(f"| {' | '.join(cells(result))} |" for result in results),
        "",
        (
            f"{sum(result.seconds for result in results) / 60:.0f} minutes. `calls` ran to their end during the line; "
            "`in flight` is the fewest that waited or ran when a fault was injected. `lost` counts jobs and calls "
            "without their end. `asked again` counts questions that a model server got more than once."
        ),
        "",
    ]
    return "\n".join(lines)
