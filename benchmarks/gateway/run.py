"""`make bench-gateway`: our gateway beside a bare pass-through and LiteLLM's proxy, as a table.

    python -m benchmarks.gateway.run [--quick] [--only NAME,NAME]

The process under test is alone on one core; the canned upstream, the load, Postgres and Valkey share another.
A whole run takes under ten minutes, writes docs/gateway-table.md, and exits with 1 if a target is missed.
"""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.choosing import some_of
from benchmarks.gateway import stacks
from benchmarks.gateway.field import NAMES, Field, started
from benchmarks.gateway.figures import Figure, markdown
from benchmarks.gateway.litellm_peer import LOCK
from benchmarks.gateway.loads import Loads, require_programs
from benchmarks.gateway.measures import QUICK, WHOLE, Measures
from benchmarks.gateway.ours import Ours
from benchmarks.gateway.profile import profiled
from benchmarks.gateway.systems import Cores
from benchmarks.sse_fanout import allow_connections

TABLE = Path(__file__).parents[2] / "docs" / "gateway-table.md"
VERSIONS = ("aiohttp", "httptools", "orjson", "psycopg", "redis", "starlette", "uvicorn", "uvloop")
PROFILE_SECONDS = 8
# below it somebody else's work is in the figures
ENOUGH_PERCENT = 85.0


def main() -> int:
    given = _parse()
    plan = QUICK if given.quick else WHOLE
    require_programs()
    # before anything starts: children inherit the core and the number of files
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, {cores.others})
    allow_connections(2 * plan.streams)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="ultra-bench-") as scratch,
        Progress(*columns) as progress,
        started(Path(scratch), cores, paced_tokens=plan.crowd_tokens, only=given.only, progress=progress) as field,
    ):
        loads = Loads(Path(scratch))
        measures = Measures(loads, field, plan, progress)
        figures = _measure(measures)
        field.notes.extend(f"ours: without {part}" for part in _what_is_off(field))
        profiles = [] if given.quick else _profiles(loads, field, progress)
    notes = "Beside that:\n\n" + "\n".join(f"- {note}" for note in field.notes) if field.notes else ""
    table = "\n\n".join(
        part
        for part in (_heading(given.quick), _warning(measures.core_percent), markdown(figures), notes, *profiles)
        if part
    )
    print(table)
    if given.only == set(NAMES) and not given.quick:
        TABLE.write_text(table + "\n")
    return 1 if any(figure.is_met is False for figure in figures) else 0


def _measure(measures: Measures) -> list[Figure]:
    measures.warm_up()
    measures.rates()
    measures.latencies()
    measures.steady()
    measures.crowds()
    measures.memory()
    return measures.figures


def _what_is_off(field: Field) -> list[str]:
    return [part for system in field.systems if isinstance(system, Ours) for part in system.what_is_off()]


def _profiles(loads: Loads, field: Field, progress: Progress) -> list[str]:
    """Where the time of ours goes, last of all: the sampler slows it."""
    parts = []
    for system in field.systems:
        for load, title in (("whole", "whole answers"), ("stream", "streams")) if system.name == "ours" else ():
            step = progress.add_task(f"profile of {title}", total=1)
            try:
                found = profiled(loads, system, load, PROFILE_SECONDS)
            except RuntimeError as error:
                field.notes.append(f"the profile of {title}: {error}")
            else:
                parts.append(f"## Where the time of ours goes: {title}\n\n{stacks.markdown(found)}")
            progress.advance(step)
    return parts


def _heading(is_quick: bool) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    peer = next(line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith("litellm=="))
    return (
        "# Gateway table\n\n"
        f"Written by `make bench-gateway`{' --quick' if is_quick else ''} on {datetime.now(UTC):%Y-%m-%d}:"
        f" {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()},"
        f" {versions}; {peer.replace('==', ' ')}.\n\n"
        "Medians, and in brackets the least and the greatest of the rounds; a ratio is the median of the rounds'"
        " ratios. One process on one core; upstream, load, Postgres and Valkey on another. Ours asks for a key and"
        " has limits, usage and fallbacks on; LiteLLM asks for a key; the bare pass-through for nothing. *direct* is"
        " the upstream without a gateway: where a figure comes near to it, it is the upstream that was measured."
        " Where a system that is asked all the time got less than its whole core, somebody else was there: read the"
        " rate for a second of its CPU time."
    )


def _warning(core_percent: float) -> str:
    if core_percent >= ENOUGH_PERCENT:
        return ""
    return (
        f"**The machine was busy with something else: the process under test got {core_percent:.0f}% of its core.**"
        " Times and rates are worse than they are alone; only rates for a second of CPU time mean something."
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; writes no file")
    parser.add_argument("--only", type=some_of(NAMES), default=set(NAMES), help=f"of {', '.join(NAMES)}")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
