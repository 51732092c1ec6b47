"""Starting, naming and stopping the processes that are measured."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.wire import is_listening

STOP_SECONDS = 20.0


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Processes:
    """Named processes with a log file each; stopped together, last started first."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start it in a session of its own, so that a Ctrl-C reaches only the one who decides."""
        with (self.log_dir / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._started.items()}

    def check(self) -> None:
        """Raises RuntimeError with the end of its log if a process is gone."""
        for name, process in self._started.items():
            if process.poll() is not None:
                tail = (self.log_dir / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} exited with {process.returncode}:\n{tail}")

    def are_up(self, port: int) -> bool:
        """Whether somebody listens at the port.

        Raises:
            RuntimeError: a process is gone, so that nobody needs to wait.
        """
        self.check()
        return is_listening(port)

    def stop(self) -> None:
        """SIGTERM, then after a while SIGKILL to the session of whoever is still there."""
        for process in reversed(self._started.values()):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._started.values()):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._started.clear()
