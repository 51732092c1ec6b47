"""`python -m cli.embedded`: the supervisor's process. People type `ultra up`, which checks the settings first."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cli.embedded.child import die_with
from cli.embedded.datadir import DataDir, default_data_dir, write_private
from cli.embedded.errors import StackError
from cli.embedded.orphans import record, stop_recorded
from cli.embedded.plan import EVERYTHING, Wish, make_plan, parse_only
from cli.embedded.ports import claimable_port
from cli.embedded.report import report_for
from cli.embedded.supervisor import Supervisor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack until it is told to stop; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.with_parent:
            die_with(options.with_parent, signal.SIGTERM)
        wish = Wish(options.data_dir, options.host, options.port, options.workers, parse_only(options.only))
        run(wish)
    except KeyboardInterrupt:
        return 0  # before the supervisor listened to signals: nothing was started
    except (StackError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def run(wish: Wish) -> None:
    """Start what is wished for, print the line that begins with `ready`, and return when all of it has stopped.

    Raises:
        CannotStart: nothing was started.
        PartFailed: everything was stopped again.
    """
    data = DataDir(wish.data_dir.absolute())
    report = report_for(sys.stdout.isatty())
    with ExitStack() as cleanup:
        cleanup.enter_context(data.locked())
        address = str(data.path)
        if "ultra" in wish.only:
            wish = replace(wish, port=claimable_port(wish.host, wish.port))
            address = f"http://{f'[{wish.host}]' if ':' in wish.host else wish.host}:{wish.port}"
        for name in stop_recorded(data.processes):
            report.notice(f"stopped {name}, which an earlier start had left running")
        plan = make_plan(wish, data, os.environ, cleanup)
        cleanup.callback(data.processes.unlink, missing_ok=True)
        cleanup.callback(data.endpoints.unlink, missing_ok=True)

        def on_ready() -> None:
            write_private(data.endpoints, json.dumps({**plan.settings, "URL": address}))
            print(f"ready {address}", flush=True)

        supervisor = Supervisor(plan.parts, data.logs, report, lambda pids: record(data.processes, pids))
        asyncio.run(supervisor.run(on_ready))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cli.embedded")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 is any free one")
    parser.add_argument("--data-dir", type=Path, default=default_data_dir(os.environ))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", default=",".join(EVERYTHING), help="what to start, separated by commas")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="stop when this process, our parent, ends")
    return parser


if __name__ == "__main__":
    sys.exit(main())
