"""What checks found, and what to do about it."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from cli.checks.finding import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def findings_table(findings: Iterable[Finding]) -> Table:
    """A row a finding; what to do next stands below what is wrong."""
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        detail = Text(finding.detail)
        if finding.next_step:
            detail.append(f"\n→ {finding.next_step}", style="bold")
        table.add_row(Text(finding.status, style=STYLES[finding.status]), finding.name, detail)
    return table
