"""Two servers of others that speak Ollama's wire format, each in a process of its own.

aimock (npm) says what it is told to, and breaks off to order; `ollama-proxy-plus` (PyPI) stands before
llama.cpp and a real model.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests import npm

AIMOCK = Path(__file__).parent / "aimock"
AIMOCK_CLI = Path("node_modules/@copilotkit/aimock/dist/cli.js")
NODE_AT_LEAST = (20, 15)
START_SECONDS = 30
STOP_SECONDS = 10


@dataclass(frozen=True)
class RunningServer:
    """Where it is, and its process."""

    url: str
    process: psutil.Process

    def has_clients(self) -> bool:
        """Whether anybody is still connected."""
        return any(
            connection.status == psutil.CONN_ESTABLISHED for connection in self.process.net_connections(kind="tcp")
        )


@contextmanager
def aimock(directory: Path) -> Iterator[RunningServer]:
    """aimock, with nothing to say yet; what the machine lacks for it is a reason to skip, and in CI to fail."""
    command = [_node(), str(npm.installed(AIMOCK) / AIMOCK_CLI), "--port", "0", "--fixtures", str(directory)]
    with _running(command, directory) as server:
        yield server


@contextmanager
def ollama_proxy(model_runner_url: str, directory: Path) -> Iterator[RunningServer]:
    """`ollama-proxy-plus`, which knows the real model as `llama/ai/smollm2` beside those it was born with."""
    command = [sys.executable, "-P", "-m", "ollama_proxy", "serve", "--host", "127.0.0.1", "--port", "0"]
    environment = {
        "PROVIDERS_LLAMA_BASE_URL": model_runner_url,
        "PROVIDERS_LLAMA_API_KEY": "none",
        "EXTRA_MODELS": "llama/ai/smollm2",
        "NO_PROXY": "127.0.0.1",
    }
    with _running(command, directory, environment) as server:
        yield server


@contextmanager
def _running(
    command: list[str], directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """The server of a command that prints its own URL when it is ready; its log lies in `directory`."""
    log = directory / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RunningServer(_announced(process, log), psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:  # a stream that stalls for an hour keeps aimock waiting
            process.kill()
            process.wait(STOP_SECONDS)


def _announced(process: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if found := re.search(r"(?:listening|running) on (http://[\d.:]+)", log.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"{process.args!r} did not start:\n{log.read_text()}")


def _node() -> str:
    """The program itself: what is on the path may be a script that starts it, and would be stopped in its place."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        npm.lacking("node and npm are not installed")
    asked = [node, "-p", "process.version + ' ' + process.execPath"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout
    version, program = said.strip().split(" ", 1)
    major, minor, *_ = map(int, re.findall(r"\d+", version))
    if (major, minor) < NODE_AT_LEAST:
        npm.lacking(f"node is {version}, and aimock wants {'.'.join(map(str, NODE_AT_LEAST))}")
    return program
