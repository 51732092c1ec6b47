"""The fault matrix, unattended: `make faults`, or

    python -m tests.faults [--sample] [--seed N] [--only WORD ...] [--sabotage fencing|sweep|publish-after-commit]

Prints a line a row as it ends, then the table; exits with 1 if a row failed. A sabotage must make it fail: it
runs the row that is there to notice.
"""

import argparse
import asyncio
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.status import Status

from tests.faults import table
from tests.faults.matrix import MATRIX, Row
from tests.faults.run import Result, run_row
from tests.faults.subject import SABOTAGES

TABLE = Path(__file__).parents[2] / "docs" / "reliability-table.md"
SHOWN = 8
SHOWN_TIMES = 20
LOG_COLUMNS = 190
# A sample begins no row after this; with the one that runs then it takes about ten minutes.
SAMPLE_SECONDS = 510
# A sample runs on a machine that others share, as every test does: it is held to what is lost, less to the second.
SAMPLE_PATIENCE = 3
# The row that is to notice what was taken out, and how often its fault is needed for that.
NOTICED_BY = {"fencing": ("frozen", 6), "sweep": ("FLUSHALL", 1), "publish-after-commit": ("soft stop", 1)}


def chosen(rows: Sequence[Row], words: Sequence[str]) -> list[Row]:
    """The rows whose name has one of the words in it; all without words."""
    return [row for row in rows if not words or any(word.lower() in row.name.lower() for word in words)]


async def run(given: argparse.Namespace, console: Console, scratch: Path) -> list[Result]:
    words, times = given.only, given.times
    if given.sabotage:
        word, times = NOTICED_BY[given.sabotage]
        words = [word]
    rows = chosen(MATRIX, words)
    if given.sample:
        rows = [replace(row, limit_seconds=row.limit_seconds * SAMPLE_PATIENCE) for row in rows]
        random.Random(given.seed).shuffle(rows)
    results: list[Result] = []
    for number, row in enumerate(rows):
        if given.sample and sum(result.seconds for result in results) > SAMPLE_SECONDS:
            console.print(f"time is up: {', '.join(one.name for one in rows[number:])}: another time")
            break
        seed = given.seed + number
        count = times or (row.sample if given.sample else row.times)
        if (reason := row.lacks()) and not os.environ.get("CI"):
            results.append(Result(row, seed, 0, skipped=reason))
            console.print(f"skipped  {row.name}: {reason}")
            continue
        directory = scratch / f"row-{number}"
        directory.mkdir()
        with console.status(row.name) as status:
            result = await run_row(row, count, seed, directory, telling(row, status, directory), given.sabotage)
        results.append(result)
        show(console, result, directory)
        if given.write:
            TABLE.write_text(table.markdown([result], TABLE.read_text() if TABLE.exists() else ""))
        if result.has_passed:
            shutil.rmtree(directory, ignore_errors=True)
    return results


def telling(row: Row, status: Status, directory: Path) -> Callable[[str], None]:
    """What says how far a row is: to who watches, and to a file for who comes later."""
    began, log = time.monotonic(), directory / "progress.log"

    def tell(said: str) -> None:
        status.update(f"{row.name}: {said}")
        with log.open("a") as file:
            file.write(f"{time.monotonic() - began:7.1f} s  {said}\n")

    return tell


def show(console: Console, result: Result, directory: Path) -> None:
    verdict = "passed " if result.has_passed else "FAILED "
    facts = " · ".join(
        f"{head} {cell}" for head, cell in zip(table.HEADS[1:-1], table.cells(result)[1:-1], strict=True) if cell
    )
    console.print(f"{verdict} {result.row.name}, seed {result.seed}, {result.seconds:.0f} s · {facts}", highlight=False)
    for violation in result.violations[:SHOWN]:
        console.print(f"         {violation}", highlight=False, style="red")
    if len(result.violations) > SHOWN:
        console.print(f"         and {len(result.violations) - SHOWN} more", style="red")
    if result.violations:
        seconds = ", ".join(f"{one:.1f}" for one in result.recovery[-SHOWN_TIMES:])
        console.print(f"         recovery in s, the last of them: {seconds}", highlight=False)
        console.print(f"         logs: {directory / 'logs'}", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--sample",
        action="store_true",
        help="few of each, in an order drawn by the seed, for about ten minutes: what CI runs",
    )
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(1_000_000), help="of the schedule; drawn if left out"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="rows with one of these words in their name"
    )
    parser.add_argument("--times", type=int, help="how often, instead of each row's own number")
    parser.add_argument("--sabotage", choices=SABOTAGES, help="take out a safeguard: the run has to fail")
    parser.add_argument("--write", action="store_true", help=f"write the rows that ran into docs/{TABLE.name}")
    given = parser.parse_args()
    # a log has no width of its own
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else LOG_COLUMNS)
    console.print(f"seed {given.seed}", highlight=False)
    # not below a private directory: Postgres runs as another user and must get there
    scratch = Path(tempfile.mkdtemp(prefix="ultra-faults-"))
    scratch.chmod(0o755)
    # whoever ends us wants no packet filter and no mount left behind either; in the background SIGINT begins ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    results = asyncio.run(run(given, console, scratch))
    console.print(table.terminal(results))
    failed = [result for result in results if not result.has_passed]
    if not failed:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
