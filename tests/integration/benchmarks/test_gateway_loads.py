"""The benchmark's own parts against each other: figures of a minute are for `make bench-gateway`."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gateway.loads import Loads
from benchmarks.gateway.systems import Address, Bare, Cores, Direct, Manner, System
from benchmarks.processes import Processes

WORDS = 10


class Elsewhere:
    """A system asked where it is not."""

    name = "elsewhere"

    def __init__(self, system: System) -> None:
        self._system = system
        self.pid = system.pid

    def start(self) -> None:
        """It runs."""

    def address(self, manner: Manner) -> Address:
        return replace(self._system.address(manner), path="/nowhere")


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loads, Direct, Bare]]:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two cores are needed to keep a peer from its load")
    directory: Path = tmp_path_factory.mktemp("bench")
    processes = Processes(directory)
    try:
        direct = Direct(processes, paced_tokens=WORDS)
        direct.start()
        bare = Bare(processes, Cores.of_this_machine(), direct)
        bare.start()
        yield Loads(directory), direct, bare
    finally:
        processes.stop()


@pytest.fixture(params=["direct", "bare"])
def system(request: pytest.FixtureRequest, field: tuple[Loads, Direct, Bare]) -> System:
    return next(system for system in field[1:] if system.name == request.param)


@pytest.fixture
def loads(field: tuple[Loads, Direct, Bare]) -> Loads:
    return field[0]


def test_whole_answers_and_streams_come_through(loads: Loads, system: System) -> None:
    loads.check(system)


def test_a_system_that_answers_something_else_is_found_out(field: tuple[Loads, Direct, Bare]) -> None:
    loads, _, bare = field
    with pytest.raises(RuntimeError, match="404"):
        loads.check(Elsewhere(bare))


def test_the_first_word_comes_before_the_end(loads: Loads, system: System) -> None:
    said = loads.alone(system, "halting", is_streamed=True, seconds=0.2)
    assert 0 < said["first_ms"] < said["end_ms"]
    # the upstream halts for 5 ms, by a timer that counts whole ones
    assert said["end_ms"] > 4


def test_at_a_steady_rate_everybody_is_answered(loads: Loads, system: System) -> None:
    said = loads.steady(system, rate=100, seconds=0.5)
    assert said["requests"] > 20
    assert said["p50_ms"] <= said["p99_ms"] <= said["max_ms"]


def test_a_crowd_reads_every_stream_to_its_end(loads: Loads, system: System) -> None:
    assert loads.crowd(system, streams=20, tokens=WORDS, open_seconds=0.2)["lost"] == 0


def test_a_crowd_notices_streams_that_end_too_early(loads: Loads, system: System) -> None:
    assert loads.crowd(system, streams=5, tokens=WORDS + 1, open_seconds=0.1)["lost"] == 5
