"""A stack for programs: tests, the demo, benchmarks. It lives in a process of its own and ends with ours."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cli.embedded.datadir import REPLACEABLE, DataDir
from cli.embedded.errors import StackError

START_SECONDS = 120.0
STOP_SECONDS = 60.0


class Stack:
    """Postgres, Valkey, the model server and, unless `only` leaves it out, the whole of `ultra up`.

        with Stack(Path("/tmp/data"), only=("postgres", "valkey")) as stack:
            connect(stack.settings["DATABASE_URL"])

    It uses none of the servers that our own environment may name. To be started in the main thread: the
    stack ends with the thread that started it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        only: Iterable[str] = (),
        port: int = 0,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._data = DataDir(data_dir)
        self._arguments = ["--data-dir", str(data_dir), "--port", str(port), "--workers", str(workers)]
        self._arguments += ["--with-parent", str(os.getpid())]
        if names := ",".join(only):
            self._arguments += ["--only", names]
        inherited = {name: value for name, value in os.environ.items() if name not in REPLACEABLE}
        self._environment = inherited | dict(environment or {})
        self._on_progress = on_progress
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._said: deque[str] = deque(maxlen=100)
        self._heard = threading.Event()
        self._is_ready = False
        self.settings: dict[str, str] = {}
        """DATABASE_URL, REDIS_URL, MODEL_RUNNER_URL of what runs, as a child's environment takes them."""
        self.url = ""
        """Where the API is, if it was started."""

    def start(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            StackError: it did not get ready within two minutes; the message is what it printed.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.embedded", *self._arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        if not self._heard.wait(START_SECONDS) or not self._is_ready:
            self.stop()
            raise StackError("The stack did not start:\n" + "\n".join(self._said))
        self.settings = json.loads(self._data.endpoints.read_text())
        self.url = self.settings.pop("URL")
        return self

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def stop(self) -> int:
        """Stop everything; returns the exit code. Harmless if it runs no more."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()
        return process.returncode

    def _read(self, output: IO[str]) -> None:
        """Follow what the supervisor says until it ends, so that it never waits for a reader."""
        with output:
            for line in output:
                self._said.append(line.rstrip())
                self._on_progress(line.rstrip())
                if line.startswith("ready "):
                    self._is_ready = True
                    self._heard.set()
        self._heard.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
