"""Processes as a supervisor keeps them: started again half a second after they died."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

RESTART_SECONDS = 0.5
STOP_SECONDS = 20.0
# Whoever dies takes its children along: a harness that is killed leaves nothing behind.
WITH_US = ("setpriv", "--pdeathsig=KILL", "--")


class Process:
    """One process, kept up from `start` to `stop`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        prefix: Sequence[str] = WITH_US,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.deaths = 0
        self._command = [*prefix, *command]
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._directory = directory
        self._stop_signal = stop_signal
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(number)

    def kill(self) -> int:
        """kill -9; returns the pid that died."""
        pid = self.pid
        self.send(signal.SIGKILL)
        return pid

    async def ended(self) -> int:
        """Wait until the process that runs now has ended; returns its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end and wait until it has; it is not started again."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is None or self._process.returncode is not None:
            return
        self.send(signal.SIGCONT)
        self.send(self._stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()

    async def restart(self) -> None:
        """Stop softly and start again, as a deployment does."""
        await self.stop()
        await self.start()

    async def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                cwd=self._directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            self.deaths += 1
            await asyncio.sleep(RESTART_SECONDS)
            await self._spawn()
