"""The supervisor with parts that are a line of shell: what it promises of any part."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.embedded.errors import PartFailed
from cli.embedded.part import Part, Probe
from cli.embedded.supervisor import Supervisor

# Only a failure waits this long.
PATIENCE_SECONDS = 60


class Notes:
    """A report that remembers."""

    def __init__(self) -> None:
        self.ready_names: list[str] = []
        self.notices: list[str] = []
        self.on_ready: Callable[[int], None] = lambda _: None

    def starting(self, name: str) -> None: ...
    def failed(self, name: str) -> None: ...
    def stopping(self) -> None: ...

    def ready(self, name: str, seconds: float) -> None:
        self.ready_names.append(name)
        self.on_ready(len(self.ready_names))

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Bench:
    """A supervisor of fake parts in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notes = Notes()
        self.pids: dict[str, int] = {}
        self.is_ready = asyncio.Event()

    def server(
        self, name: str, script: str = "while :; do sleep 0.02; done", *, is_deaf: bool = False, **fields: object
    ) -> Part:
        """Serves once its script runs; writes its name to `ended` when it is asked to end, unless it is deaf."""
        on_term = "" if is_deaf else f"echo {name} >> {self.directory}/ended; exit 0"
        begin = f"trap '{on_term}' TERM; touch {self.directory}/{name}.up; "
        command = ("sh", "-c", begin + script)
        part = Part(name=name, command=command, probe=self._has(f"{name}.up"), stop_seconds=PATIENCE_SECONDS)
        return replace(part, **fields)  # type: ignore[arg-type]

    def step(self, name: str, script: str) -> Part:
        return Part(name=name, command=("sh", "-c", script))

    async def run(self, *parts: Part, then: Callable[[Supervisor], None] | None = None) -> None:
        """Run until the parts are ready, do `then`, and wait for the end."""
        supervisor = Supervisor(parts, self.directory, self.notes, self.pids.update)

        def on_ready() -> None:
            self.is_ready.set()
            (then or Supervisor.stop)(supervisor)

        async with asyncio.timeout(PATIENCE_SECONDS):
            await supervisor.run(on_ready)

    def ended(self) -> list[str]:
        path = self.directory / "ended"
        return path.read_text().split() if path.exists() else []

    def none_is_left(self) -> bool:
        return not any(is_alive(pid) for pid in self.pids.values())

    def _has(self, name: str) -> Probe:
        async def probe() -> bool:
            return (self.directory / name).exists()

        return probe


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_parts_start_after_what_they_need_and_stop_in_reverse(bench: Bench) -> None:
    await bench.run(
        bench.server("api", stage=2, after=frozenset({"migrate"})),
        replace(bench.step("migrate", f"test -e {bench.directory}/postgres.up"), after=frozenset({"postgres"})),
        bench.server("postgres", stage=0),
        bench.server("worker", stage=1, after=frozenset({"migrate"})),
    )
    assert bench.notes.ready_names[:2] == ["postgres", "migrate"]
    assert sorted(bench.notes.ready_names[2:]) == ["api", "worker"]
    assert bench.ended() == ["api", "worker", "postgres"]
    assert bench.none_is_left()


async def test_a_part_that_dies_is_started_again_and_its_last_words_are_told(bench: Bench) -> None:
    script = f"""
        test -e {bench.directory}/again && while :; do sleep 0.02; done
        touch {bench.directory}/again
        until test -e {bench.directory}/seen; do sleep 0.02; done
        echo out of luck; exit 3
    """

    def on_ready(times: int) -> None:
        (bench.directory / "seen").touch()
        if times == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    bench.notes.on_ready = on_ready
    await bench.run(bench.server("worker", script), then=lambda _: None)
    assert bench.notes.notices == ["worker exited with 3; starting it again in 0.5 s. It said: out of luck"]
    assert bench.none_is_left()


async def test_a_part_that_does_not_start_stops_the_stack_with_the_end_of_its_log(bench: Bench) -> None:
    broken = Part(name="api", command=("sh", "-c", "echo no such table; exit 1"), probe=never)
    with pytest.raises(PartFailed, match=r"(?s)api did not start: it exited with 1\..*api\.log:\n  no such table"):
        await bench.run(bench.server("postgres"), replace(broken, after=frozenset({"postgres"})))
    assert not bench.is_ready.is_set()
    assert bench.ended() == ["postgres"]
    assert bench.none_is_left()


async def test_a_step_that_fails_stops_the_stack(bench: Bench) -> None:
    with pytest.raises(PartFailed, match=r"(?s)migrate did not succeed: it exited with 7\..*wrong password"):
        await bench.run(bench.server("postgres"), bench.step("migrate", "echo wrong password; exit 7"))
    assert bench.none_is_left()


async def test_a_part_that_is_not_ready_in_time_stops_the_stack(bench: Bench) -> None:
    slow = Part(name="model", command=("sleep", "60"), probe=never, start_seconds=0.2)
    with pytest.raises(PartFailed, match=r"model did not start: it was not ready within 0\.2 s"):
        await bench.run(slow)
    assert bench.none_is_left()


async def test_a_command_that_is_missing_stops_the_stack(bench: Bench) -> None:
    with pytest.raises(PartFailed, match=r"valkey cannot be started: .*No such file or directory: '/nowhere/valkey'"):
        await bench.run(bench.server("worker"), Part(name="valkey", command=("/nowhere/valkey",), probe=never))
    assert bench.none_is_left()


async def test_a_part_that_will_not_stop_is_killed_when_its_time_is_up(bench: Bench) -> None:
    stubborn = bench.server("worker", is_deaf=True, stop_seconds=0.2)
    await bench.run(stubborn)
    assert bench.none_is_left()


async def test_a_second_signal_hurries_the_stop(bench: Bench) -> None:
    stubborn = bench.server("worker", is_deaf=True, stop_seconds=600)

    def interrupt_twice(_: Supervisor) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)

    await bench.run(stubborn, then=interrupt_twice)
    assert bench.none_is_left()


async def test_a_stop_while_starting_stops_what_had_started(bench: Bench) -> None:
    bench.notes.on_ready = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    await bench.run(bench.server("postgres"), Part(name="model", command=("sleep", "60"), probe=never))
    assert not bench.is_ready.is_set()
    assert bench.ended() == ["postgres"]
    assert bench.none_is_left()


async def never() -> bool:
    return False
