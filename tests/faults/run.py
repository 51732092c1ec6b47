"""Running a row: deploy, load, do it, judge."""

import asyncio
import math
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults import checker
from tests.faults.clients import Readers, Submitter
from tests.faults.deployment import Deployment
from tests.faults.field import Field, body, collect
from tests.faults.history import History
from tests.faults.matrix import Row

SMALL_DISK_MEGABYTES = {"postgres": 420, "valkey": 48}
LONGEST_ROW_SECONDS = 2400


@dataclass(slots=True)
class Result:
    """What a row came to. `recovery` is in seconds, one a fault or one a call, as the row measures it."""

    row: Row
    seed: int
    times: int
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)
    jobs: int = 0
    calls: int = 0
    in_flight: int = 0
    asked_again: int = 0
    late_writes: int = 0
    refused: int = 0
    resumptions: int = 0
    skipped: str | None = None

    @property
    def recovery_p99(self) -> float | None:
        """The slowest but one in a hundred."""
        ordered = sorted(self.recovery)
        return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else None

    @property
    def recovery_median(self) -> float | None:
        return statistics.median(self.recovery) if self.recovery else None

    @property
    def has_passed(self) -> bool:
        return not self.violations


async def run_row(
    row: Row, times: int, seed: int, directory: Path, say: Callable[[str], None], sabotage: str | None = None
) -> Result:
    """One row under load, with a seed of its own; what went wrong on our side is a violation too."""
    result, began = Result(row, seed, times), time.monotonic()
    with _small_disk(row.small_disk, directory) as home:
        shape = replace(row.shape, **{f"{row.small_disk}_home": home}) if home else row.shape
        try:
            async with asyncio.timeout(LONGEST_ROW_SECONDS), Deployment(directory, shape, sabotage) as deployment:
                history = await _under_load(row, times, random.Random(seed), deployment, say)
                _judge(row, history, result)
        except Exception as error:  # noqa: BLE001  # a harness that fails has proved nothing
            result.violations.append(f"the run broke off: {type(error).__name__}: {error}")
    result.seconds = time.monotonic() - began
    return result


async def _under_load(
    row: Row, times: int, rng: random.Random, deployment: Deployment, say: Callable[[str], None]
) -> History:
    submitter = Submitter(deployment.api_port, deployment.postgres.url, row.in_flight, body)
    readers = Readers(deployment.api_port, row.readers_a_job, rng)
    submitter.on_acknowledged(readers.maybe_follow)
    on_field = Field(deployment, submitter, readers, rng, History(), say)
    async with _submitting(submitter):
        say("load comes up")
        await on_field.loaded()
        await row.do(on_field, times)
        await asyncio.sleep(2)
    return await collect(on_field)


@asynccontextmanager
async def _submitting(submitter: Submitter) -> AsyncIterator[None]:
    keeping = asyncio.create_task(submitter.keep())
    try:
        yield
    finally:
        keeping.cancel()
        [outcome] = await asyncio.gather(keeping, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


def _judge(row: Row, history: History, result: Result) -> None:
    result.recovery = row.recovery(history)
    result.violations += checker.violations(history, *row.more)
    p99 = result.recovery_p99
    if p99 is not None and p99 > row.limit_seconds:
        result.violations.append(f"recovery took {p99:.1f} s at the 99th percentile, over {row.limit_seconds:g} s")
    result.jobs, result.calls = len(history.jobs), len(history.calls)
    result.in_flight = min(history.in_flight, default=0)
    result.asked_again = history.requests - history.questions
    result.late_writes = sum(not write.accepted for write in history.writes)
    result.refused = len(history.refusals)
    result.resumptions = sum(reading.resumptions for reading in history.readings)


@contextmanager
def _small_disk(of: str | None, directory: Path) -> Iterator[Path | None]:
    """A file system of its own in memory for a server that is to run out of space."""
    if of is None:
        yield None
        return
    home = directory.with_name(f"{directory.name}-disk")
    home.mkdir()
    options = f"size={SMALL_DISK_MEGABYTES[of]}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)], check=True)
    try:
        yield home / "data"
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
        shutil.rmtree(home, ignore_errors=True)
