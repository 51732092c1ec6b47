"""Starts parts in the order they need each other, keeps them up, and stops them in reverse.

Knows nothing of Postgres or workers: it is handed a list of parts. One thread, one event loop, so that the
kernel's parent-death signal, which watches the thread that forked, watches the supervisor's life.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from cli.embedded.child import Child, spawn
from cli.embedded.errors import PartFailed
from cli.embedded.logs import bound, tail
from cli.embedded.part import Part, Probe
from cli.embedded.report import Report
from common.ending import end

# A part that is ready is noticed this late at most; a handful of servers asked 20 times a second cost nothing.
PROBE_EVERY_SECONDS = 0.05
BOUND_LOGS_EVERY_SECONDS = 30.0
TAIL_LINES = 15
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A part that lived this long died of something new: its earlier deaths are forgotten.
FORGIVEN_SECONDS = 60.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def restart_pause(deaths: int) -> float:
    """Seconds to wait after this many deaths in quick succession."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(deaths - 1, 16)))


def stop_order(parts: Sequence[Part]) -> list[list[str]]:
    """Names in groups, each to be stopped at once, after the group before it has ended."""
    by_stage = sorted(parts, key=lambda part: -part.stage)
    return [[part.name for part in group] for _, group in groupby(by_stage, key=lambda part: part.stage)]


def how_it_ended(exit_code: int) -> str:
    """For people: `exited with 1`, `was killed by SIGKILL`."""
    if exit_code >= 0:
        return f"exited with {exit_code}"
    return f"was killed by {signal.Signals(-exit_code).name}"


class Supervisor:
    """Runs a stack until it is told to stop, or cannot go on.

    `on_change` is called with the running processes (name to pid) whenever one was started.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        logs: Path,
        report: Report,
        on_change: Callable[[dict[str, int]], None] = lambda _: None,
    ) -> None:
        self._parts = list(parts)
        self._logs = logs
        self._report = report
        self._on_change = on_change
        self._children: dict[str, Child] = {}
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` once, and return after a stop signal, with no process left.

        Raises:
            PartFailed: a part did not start; everything has been stopped. One that dies later is started again.
        """
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGCHLD: self._poll_children} | dict.fromkeys(STOP_SIGNALS, self.stop)
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        works = [self._tend(part) for part in self._parts]
        works += [self._announce(on_ready), self._bound_logs()]
        tasks = [asyncio.create_task(self._stop_on_failure(work)) for work in works]
        await self._stopping.wait()
        await end(tasks)
        for names in stop_order(self._parts):
            children = [self._children[name] for name in names if name in self._children]
            await asyncio.gather(*(child.stop(self._hurry) for child in children if child.exit_code is None))
        for number in handlers:
            loop.remove_signal_handler(number)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop the stack; a second call is impatience."""
        if self._stopping.is_set():
            self._hurry.set()
        else:
            self._report.stopping()
            self._stopping.set()

    async def _tend(self, part: Part) -> None:
        for name in sorted(part.after):
            await self._ready[name].wait()
        if part.probe is None:
            await self._run_step(part)
        else:
            await self._keep_up(part, part.probe)

    async def _run_step(self, part: Part) -> None:
        began = time.monotonic()
        exit_code = await self._start(part).exited()
        if exit_code != 0:
            raise self._failed(part, "did not succeed", how_it_ended(exit_code))
        self._note_ready(part, began)

    async def _keep_up(self, part: Part, probe: Probe) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            child = self._start(part)
            if await _serves_in_time(child, probe):
                self._note_ready(part, began)
                death = how_it_ended(await child.exited())
            elif child.exit_code is not None:
                death = how_it_ended(child.exit_code)
            else:
                await child.stop(self._hurry)
                death = f"was not ready within {part.start_seconds:g} s"
            if not self._ready[part.name].is_set():
                raise self._failed(part, "did not start", death)
            deaths = 1 if time.monotonic() - began > FORGIVEN_SECONDS else deaths + 1
            pause = restart_pause(deaths)
            last_words = " / ".join(tail(child.log, 2))
            self._report.notice(f"{part.name} {death}; starting it again in {pause:g} s. It said: {last_words}")
            await asyncio.sleep(pause)

    def _start(self, part: Part) -> Child:
        self._report.starting(part.name)
        try:
            child = self._children[part.name] = spawn(part, self._logs)
            self._on_change({name: one.pid for name, one in self._children.items() if one.exit_code is None})
        except OSError as error:
            raise PartFailed(f"{part.name} cannot be started: {error}") from error
        return child

    def _note_ready(self, part: Part, began: float) -> None:
        self._report.ready(part.name, time.monotonic() - began)
        self._ready[part.name].set()

    def _failed(self, part: Part, what: str, how: str) -> PartFailed:
        self._report.failed(part.name)
        log = self._logs / f"{part.name}.log"
        lines = "\n".join(f"  {line}" for line in tail(log, TAIL_LINES))
        return PartFailed(f"{part.name} {what}: it {how}. The end of {log}:\n{lines}")

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        for event in self._ready.values():
            await event.wait()
        on_ready()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(BOUND_LOGS_EVERY_SECONDS)
            for child in self._children.values():
                bound(child.log)

    async def _stop_on_failure(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # raised again by run(), once everything is stopped
            self._failure = self._failure or error
            self._stopping.set()

    def _poll_children(self) -> None:
        for child in self._children.values():
            child.poll()


async def _serves_in_time(child: Child, probe: Probe) -> bool:
    """Whether the probe came true before the process ended and before its time was up."""
    deadline = time.monotonic() + child.part.start_seconds
    while child.exit_code is None and time.monotonic() < deadline:
        if await probe():
            return child.exit_code is None
        await asyncio.sleep(PROBE_EVERY_SECONDS)
    return False
