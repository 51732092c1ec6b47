"""One running process of a part."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cli.embedded.logs import open_log
from cli.embedded.part import Part

PR_SET_PDEATHSIG = 1
# After a kill the kernel needs moments, not seconds; past this the process hangs in the kernel.
KILL_SECONDS = 5.0


class Child:
    """A part's process, in a session of its own so that a terminal's Ctrl-C reaches the supervisor alone."""

    def __init__(self, part: Part, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.part = part
        self.log = log
        self.pid = process.pid
        self._process = process
        self._exited = asyncio.Event()

    def poll(self) -> None:
        """Take note if the process has ended; to be called whenever a child of ours may have."""
        if self._process.poll() is not None:
            self._exited.set()

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal, None while it runs."""
        return self._process.returncode

    async def exited(self) -> int:
        """Wait for the end; returns the exit code."""
        await self._exited.wait()
        return self._process.returncode

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it to end, insist after `stop_seconds` or when there is a hurry, then kill. Returns when it is gone."""
        if not hurry.is_set():
            self._send(self.part.stop_signal)
            await self._ended_within(self.part.stop_seconds, unless=hurry)
        if self.exit_code is None:
            self._send(self.part.hurry_signal)
            await self._ended_within(KILL_SECONDS)
        if self.exit_code is None:
            self._send(signal.SIGKILL)
            await self._ended_within(KILL_SECONDS)

    async def _ended_within(self, seconds: float, unless: asyncio.Event | None = None) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._exited, unless) if event is not None]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _send(self, number: signal.Signals) -> None:
        # Popen.send_signal polls first, so that a reused pid is never signalled.
        self._process.send_signal(number)


def spawn(part: Part, logs: Path) -> Child:
    """Start a part's process. To be called in the main thread: the kernel ends the process with that thread.

    Raises:
        OSError: the command is missing or cannot be run.
    """
    log = logs / f"{part.name}.log"
    descriptor = open_log(log)
    command = part.command
    if part.account is not None:
        command = part.account.command_prefix(part.orphan_signal.name) + command
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env={**os.environ, **part.environment},
            cwd=part.directory,
            start_new_session=True,
            preexec_fn=_die_with_parent(part.orphan_signal),  # noqa: PLW1509  # the supervisor has one thread
        )
    finally:
        os.close(descriptor)
    return Child(part, process, log)


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends. Linux only; elsewhere nothing happens.

    Raises:
        ProcessLookupError: the parent has ended already.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        raise ProcessLookupError("the parent is gone")


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    return lambda: die_with(parent, number)
