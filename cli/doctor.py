"""`ultra doctor`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import JsonOption

if TYPE_CHECKING:
    from cli.checks.finding import Finding


def doctor(
    as_json: JsonOption = False,
    data_dir: Annotated[Path | None, typer.Option(help="Of the embedded stack, if it is not the usual one.")] = None,
) -> None:
    """Look at everything this needs, and say what to do about what is wrong.

    Looks where the settings point; where they name no server, at a running `ultra up`, or at what it
    would need to start. Exit code 1 if something fails.
    """
    from cli.checks.finding import worst
    from cli.checks.rounds import examine
    from cli.terminal import print_json

    findings = asyncio.run(examine(data_dir))
    if as_json:
        print_json({"status": worst(findings), "checks": findings})
    else:
        _print(findings)
    raise typer.Exit(1 if worst(findings) == "fail" else 0)


def _print(findings: "list[Finding]") -> None:
    from rich.table import Table
    from rich.text import Text

    from cli.terminal import output

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        detail = Text(finding.detail)
        if finding.next_step:
            detail.append(f"\n→ {finding.next_step}", style="bold")
        table.add_row(Text(finding.status, style=styles[finding.status]), finding.name, detail)
    output().print(table)
