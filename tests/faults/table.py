"""The table of a run, for a terminal and for docs/reliability-table.md."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from tests.faults.matrix import MATRIX
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
RUN_HEADS = ("seed", "took")


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


def markdown(results: Sequence[Result], before: str = "") -> str:
    """The page as `make faults` leaves it: each row of the matrix as last run, those of `before` too, in its order."""
    lines = {name: line for line in before.splitlines() if (name := _name_of(line))}
    lines |= {result.row.name: _line(result) for result in results}
    return "\n".join(
        [
            "# The fault matrix, each line as last run",
            "",
            f"Written by `make faults` on a machine of {os.cpu_count()} cores. How each line is judged:",
            "[reliability.md](reliability.md).",
            "",
            f"| {' | '.join((*HEADS, *RUN_HEADS))} |",
            f"|{' --- |' * (len(HEADS) + len(RUN_HEADS))}",
            *(lines[row.name] for row in MATRIX if row.name in lines),
            "",
            "`in flight` is the fewest calls that waited or ran when a fault was injected. `lost` counts jobs and",
            "calls without their end. `asked again` counts questions that a model server got more than once.",
            "",
        ]
    )


def _line(result: Result) -> str:
    today = datetime.now(UTC).date().isoformat()
    return f"| {' | '.join((*cells(result), str(result.seed), f'{result.seconds:.0f} s, {today}'))} |"


def _name_of(line: str) -> str | None:
    """The row that a line of the table tells of; None for any other line."""
    parts = [part.strip() for part in line.strip("|").split("|")]
    return parts[0] if len(parts) == len(HEADS) + len(RUN_HEADS) and parts[0] not in {HEADS[0], "---"} else None
