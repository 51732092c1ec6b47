"""One run of the benchmark: two systems on one Postgres and one Valkey, measured in turn."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import orjson
from rich.progress import Progress

from benchmarks import measures
from benchmarks.bare_system import BareSystem
from benchmarks.figures import Figure
from benchmarks.meter import Meter
from benchmarks.ours_system import WORKER_KINDS, OursSystem, ultra
from benchmarks.sampling import sampled
from benchmarks.sse_fanout import FanOut, fan_out
from benchmarks.systems import System
from benchmarks.wire import Connection, encode
from cli.embedded.stack import Stack
from worker.kinds import KINDS

WATCHERS = 1_000


class Bench:
    """The systems, the meter, and the figures so far."""

    def __init__(self, ours: OursSystem, bare: BareSystem, rounds: int, progress: Progress) -> None:
        self.ours, self._bare = ours, bare
        self._rounds = rounds
        self._progress = progress
        self.meter = Meter()
        self.figures: list[Figure] = []

    def warm_up(self) -> None:
        """Imports, pools, prepared statements: nobody measures a first time."""
        step = self._progress.add_task("warm-up", total=2)
        for system in (self.ours, self._bare):
            measures.latency_seconds(system, is_merged=True)
            measures.comparisons_per_second(system, count=100)
            system.purge()
            self._progress.advance(step)

    def compare(
        self,
        figure: Figure,
        measure: Callable[[System], float],
        units: Callable[[float], float] | None = None,
    ) -> None:
        """Take the figure of both in turn, beginning with the other one each round.

        With `units` (how many units of work a result stands for) the CPU time of a unit is kept too.
        """
        step = self._progress.add_task(figure.name, total=2 * self._rounds)
        for number in range(self._rounds):
            turns: list[tuple[System, list[float]]] = [(self.ours, figure.ours), (self._bare, figure.bare)]
            for system, samples in turns if number % 2 == 0 else reversed(turns):
                work = partial(measure, system)
                samples.append(self.meter.take(figure.name, system, units, work) if units else work())
                system.purge()
                self._progress.advance(step)
        self.figures.append(figure)

    def submissions(self, seconds: float) -> None:
        self.compare(
            Figure("accepted submissions", "a second", "higher", limit=5, is_ratio=True),
            partial(measures.submissions_per_second, seconds=seconds),
            units=lambda rate: rate * seconds,
        )

    def comparisons(self, count: int) -> None:
        self.compare(
            Figure("comparisons of five zero-latency models", "a second", "higher", limit=1, is_ratio=True),
            partial(measures.comparisons_per_second, count=count),
            units=lambda _: count,
        )

    def profile(self, count: int, directory: Path) -> None:
        """Sample our processes while they compare; slower than unwatched, so no figure comes of it."""
        with sampled(self.ours.processes.pids, directory):
            measures.comparisons_per_second(self.ours, count=count)
        self.ours.purge()

    def latency(self) -> None:
        for what, is_merged, limit in (("without merge", False, 1.15), ("with merge", True, 2.25)):
            name = f"one comparison of five one-second models at rest, {what}"
            measure = partial(measures.latency_seconds, is_merged=is_merged)
            self.compare(Figure(name, "s", "lower", limit=limit), measure)

    def burst(self, count: int) -> None:
        name = f"{count} comparisons of five one-second models at once"
        figure = Figure(name, "s", "lower", limit=1, is_ratio=True, aim="goal 4 s")
        self.compare(figure, partial(measures.burst_seconds, count=count), units=lambda _: count)

    def watchers(self) -> None:
        """A thousand clients on one streaming job, a fifth of them killed twice.

        Raises:
            RuntimeError: one of them saw a gap, a repeat or another order.
        """
        step = self._progress.add_task("SSE fan-out", total=1)
        outcome = asyncio.run(self._watch())
        if outcome.faults:
            raise RuntimeError(f"{len(outcome.faults)} SSE faults: {outcome.faults[:5]}")
        name = f"{outcome.watchers} SSE clients see all {outcome.events_each} events, {outcome.resumptions} resumptions"
        self.figures.append(Figure(name, "s", "lower", ours=[outcome.seconds]))
        self._progress.advance(step)

    async def _watch(self) -> FanOut:
        body = self.ours.body(["mock-stream", "mock-slow-a"], is_merged=False).encode()
        async with Connection(self.ours.port) as connection:
            accepted = await connection.request(encode("POST", self.ours.submit_path, body))
        path = f"{self.ours.show_path(orjson.loads(accepted.body)['id'])}/events"
        return await fan_out(self.ours.port, path, watchers=WATCHERS, killed=WATCHERS // 5)


@contextmanager
def started(scratch: Path, rounds: int, progress: Progress) -> Iterator[Bench]:
    """Both systems on fresh servers, warmed up; stopped afterwards."""
    with Stack(scratch / "servers", only=("postgres", "valkey")) as servers:
        database_url, redis_url = servers.settings["DATABASE_URL"], servers.settings["REDIS_URL"]
        ultra(servers.settings, "migrate")
        ours = OursSystem(scratch, database_url, redis_url)
        # as many processes as ours has, each with as many threads as our busiest: the peer is not starved
        bare = BareSystem(
            scratch,
            redis_url.removesuffix("/0") + "/1",
            workers=len(WORKER_KINDS),
            concurrency=KINDS["cloud"].threads,
        )
        try:
            ours.start()
            bare.start()
            bench = Bench(ours, bare, rounds, progress)
            bench.warm_up()
            yield bench
        finally:
            bare.processes.stop()
            ours.processes.stop()
