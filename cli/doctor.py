"""`ultra doctor`."""

import asyncio

import typer

from cli.options import DataDirOption, JsonOption


def doctor(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Find out what is wrong, and what to do about it.

    Looks at everything this needs: where the settings point; where they name no server, at a running `ultra up`,
    or at what it would need to start. Exit code 1 if something fails.
    """
    from cli.checks.finding import worst
    from cli.checks.rounds import examine
    from cli.terminal import output, print_json
    from cli.views.findings import findings_table

    findings = asyncio.run(examine(data_dir))
    if as_json:
        print_json({"status": worst(findings), "checks": findings})
    else:
        output().print(findings_table(findings))
    raise typer.Exit(1 if worst(findings) == "fail" else 0)
