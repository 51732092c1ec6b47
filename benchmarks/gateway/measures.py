"""Every line of the table: how it is taken, of whom, and what is asked of ours."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
from rich.progress import Progress

from benchmarks.cpu import cpu_seconds
from benchmarks.gateway.crowd import STALL_MS
from benchmarks.gateway.field import Field
from benchmarks.gateway.figures import AtMost, Figure, Target, Times
from benchmarks.gateway.loads import CONNECTIONS, Loads
from benchmarks.gateway.memory import resident_megabytes, weigh
from benchmarks.gateway.systems import Manner, System


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often. Streams are read by a crowd of `streams` for `crowd_tokens` words each."""

    rounds: int
    seconds: float
    alone_seconds: float
    memory_seconds: float
    streams: int
    crowd_tokens: int
    open_seconds: float


WHOLE = Plan(rounds=3, seconds=4, alone_seconds=1.5, memory_seconds=75, streams=2_000, crowd_tokens=100, open_seconds=4)
QUICK = Plan(rounds=1, seconds=2, alone_seconds=1, memory_seconds=6, streams=2_000, crowd_tokens=60, open_seconds=4)


class Measures:
    """Takes every figure of every system in turn; what could not be taken is a note and not a number."""

    def __init__(self, loads: Loads, field: Field, plan: Plan, progress: Progress) -> None:
        self._loads, self._field, self._plan, self._progress = loads, field, plan, progress
        self._peak_rates: dict[str, float] = {}
        self._core_shares: list[float] = []
        self.figures: list[Figure] = []

    @property
    def core_percent(self) -> float:
        """How much of its core a system got while it was asked without pause: the median of all samples."""
        return statistics.median(self._core_shares) if self._core_shares else 100.0

    def warm_up(self) -> None:
        """Nobody measures a first time."""
        for system in self._field.systems:
            for is_streamed in (False, True):
                seconds = max(self._plan.seconds / 2, 1)
                self._loads.rate(system, "at_once", is_streamed=is_streamed, seconds=seconds)

    def rates(self) -> None:
        requests = self._rates(
            f"requests a second, {CONNECTIONS} connections",
            (Times("LiteLLM", 20), Times("bare", 0.5)),
            lambda system: self._rate(system, "at_once", is_streamed=False),
        )
        for name, samples in requests.samples.items():
            self._peak_rates[name] = max(samples)
        self._rates(
            f"streams of 64 chunks a second, {CONNECTIONS} connections",
            (Times("LiteLLM", 50), Times("bare", 0.5)),
            lambda system: self._rate(system, "at_once", is_streamed=True),
        )
        self._rates(
            "streams, each chunk flushed by the upstream",
            (),
            lambda system: self._rate(system, "flushed", is_streamed=True),
            without=("LiteLLM",),
        )

    def latencies(self) -> None:
        """Ours less direct, in the same round."""
        asked = Figure("p50 alone, one connection", "ms")
        first = Figure("time to first token alone, p50", "ms")
        seconds = self._plan.alone_seconds

        def end_ms(system: System) -> float:
            return self._loads.alone(system, "at_once", is_streamed=False, seconds=seconds)["end_ms"]

        def first_ms(system: System) -> float:
            return self._loads.alone(system, "halting", is_streamed=True, seconds=seconds)["first_ms"]

        self._turns(asked, end_ms, with_direct=True)
        self._turns(first, first_ms, with_direct=True)
        self.figures += [
            _added(asked, Figure("added p50, one connection", "ms", (AtMost(1.0, "ms"),))),
            _added(first, Figure("added time to first token", "ms", (AtMost(2.0, "ms"),))),
        ]

    def steady(self) -> None:
        """At half of each system's own peak, so that all are loaded alike."""
        figure = Figure("p99 at half of its peak rate", "ms", (AtMost(10.0, "ms"),))

        def p99_ms(system: System) -> float:
            return self._loads.steady(system, self._peak_rates[system.name] / 2, self._plan.seconds)["p99_ms"]

        self._turns(figure, p99_ms)

    def crowds(self) -> None:
        plan = self._plan
        longest = Figure(
            f"{plan.streams:,} open streams, 20 tokens a second each: the longest stall",
            "ms",
            (AtMost(STALL_MS, "ms"),),
        )
        lost = Figure("… streams lost", "", (AtMost(0, ""),))
        stalled = Figure(f"… streams with a stall over {STALL_MS:g} ms", "", (AtMost(0, ""),))
        first = Figure("… time to first token, p99", "ms")

        def take(system: System) -> float:
            said = self._loads.crowd(system, plan.streams, plan.crowd_tokens, plan.open_seconds)
            stalled.add(system.name, said["stalled"])
            lost.add(system.name, said["lost"])
            first.add(system.name, said["first_p99_ms"])
            return said["stall_max_ms"]

        # LiteLLM's peak of streams is a thirtieth of what this asks for
        self._turns(longest, take, with_direct=True, without=("LiteLLM",))
        self.figures += [stalled, lost, first]

    def memory(self) -> None:
        """Ours over minutes; the others as they are now, after everything else."""
        ours = next((system for system in self._field.systems if system.name == "ours"), None)
        end = Figure("resident memory", "MB", (AtMost(200, "MB"),))
        growth = Figure("… growth over the second half of them, for 100,000", "MB", (AtMost(2, "MB"),))
        start = Figure("… before them", "MB")
        step = self._progress.add_task(end.name, total=1)
        for system in self._field.systems:
            if system is not ours:
                end.add(system.name, resident_megabytes(psutil.Process(system.pid)))
        if ours is not None:
            try:
                weight = weigh(self._loads, ours, self._plan.memory_seconds)
            except RuntimeError as error:
                self._note(ours, end, error)
            else:
                end.name += f" after {weight.requests:,} requests more"
                end.add(ours.name, weight.end)
                growth.add(ours.name, weight.growth)
                start.add(ours.name, weight.start)
        self._progress.advance(step)
        self.figures += [end, start, growth]

    def _rates(
        self, name: str, targets: Sequence[Target], take: Callable[[System], float], without: Sequence[str] = ()
    ) -> Figure:
        """A rate, and what it would be if nothing else ran on this machine: by CPU time of its own."""
        rate, by_cpu = Figure(name, "", targets), Figure("… for a second of its CPU time", "")
        core = Figure("… of its core that it got", "%")

        def taken(system: System) -> float:
            began, before = time.monotonic(), cpu_seconds({"it": system.pid})["it"]
            sample = take(system)
            seconds, busy = time.monotonic() - began, cpu_seconds({"it": system.pid})["it"] - before
            if system is not self._field.direct:
                by_cpu.add(system.name, sample * seconds / busy)
                core.add(system.name, 100 * busy / seconds)
                self._core_shares.append(100 * busy / seconds)
            return sample

        self._turns(rate, taken, with_direct=True, without=without)
        self.figures += [by_cpu, core]
        return rate

    def _rate(self, system: System, manner: Manner, *, is_streamed: bool) -> float:
        # answers that take seconds need a longer look, or those under way at its end are a third of all
        seconds = self._plan.seconds * (2 if system.name == "LiteLLM" and is_streamed else 1)
        return self._loads.rate(system, manner, is_streamed=is_streamed, seconds=seconds)

    def _turns(
        self,
        figure: Figure,
        take: Callable[[System], float],
        *,
        with_direct: bool = False,
        without: Sequence[str] = (),
    ) -> None:
        """A sample of each system a round; each round begins with another one."""
        asked: list[System] = [system for system in self._field.systems if system.name not in without]
        asked += [self._field.direct] if with_direct else []
        step = self._progress.add_task(figure.name, total=self._plan.rounds * len(asked))
        for number in range(self._plan.rounds):
            first = number % max(len(asked), 1)
            for system in [*asked[first:], *asked[:first]]:
                try:
                    figure.add(system.name, take(system))
                except (RuntimeError, OSError) as error:
                    self._note(system, figure, error)
                self._progress.advance(step)
        self.figures.append(figure)

    def _note(self, system: System, figure: Figure, error: Exception) -> None:
        self._field.notes.append(f"{system.name}, {figure.name}: {error}")


def _added(whole: Figure, added: Figure) -> Figure:
    """What each system adds to the upstream's own time, round by round."""
    direct = whole.samples.get("direct", [])
    for name, samples in whole.samples.items():
        if name != "direct":
            for sample, without in zip(samples, direct, strict=False):
                added.add(name, sample - without)
    return added
