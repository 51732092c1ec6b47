"""`ultra up`: how soon it is ready on a directory that it knows, and what it weighs when nobody asks for anything."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from benchmarks.cpu import pss_megabytes, tree
from benchmarks.figures import Figure

READY_SECONDS = 120
STOP_SECONDS = 60
# After the warm-up of imports and pools, before anything periodic that is rarer than the sweep.
IDLE_SECONDS = 10


def figures(data_dir: Path, starts: int, progress: Progress) -> list[Figure]:
    """The start on an existing directory, and the memory at rest without the model server."""
    step = progress.add_task("ultra up", total=starts + 2)
    cold_start_seconds(data_dir)  # makes the directory
    progress.advance(step)
    start = Figure("cold start of `ultra up` on an existing directory", "s", "lower", limit=6)
    for _ in range(starts):
        start.ours.append(cold_start_seconds(data_dir))
        progress.advance(step)
    megabytes = idle_megabytes(data_dir)
    progress.advance(step)
    name = "memory at rest (PSS), without the model server"
    memory = Figure(name, "MB", "lower", limit=600)
    memory.ours.append(sum(used for part, used in megabytes.items() if part != "model"))
    parts = [Figure(f"… {part}", "MB", "lower", ours=[used]) for part, used in sorted(megabytes.items())]
    return [start, memory, *parts]


def cold_start_seconds(data_dir: Path) -> float:
    """From the command to its line `ready`: no process of ours ran before, the page cache is as it is."""
    with _up(data_dir) as (_, seconds):
        return seconds


def idle_megabytes(data_dir: Path) -> dict[str, float]:
    """PSS of each part of a stack at rest, the model server's under its own name `model`."""
    with _up(data_dir) as (process, _):
        time.sleep(IDLE_SECONDS)
        parts: dict[str, dict[str, int]] = json.loads((data_dir / "processes.json").read_text())
        owner = {member.pid: name for name, mark in parts.items() for member in tree(mark["pid"])}
        megabytes: dict[str, float] = {}
        for member in tree(process.pid):
            name = owner.get(member.pid, "supervisor")
            megabytes[name] = megabytes.get(name, 0.0) + pss_megabytes(member.pid)
        return megabytes


@contextmanager
def _up(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A running stack, and the seconds until it was ready; stopped as by Ctrl-C afterwards."""
    replaceable = {"DATABASE_URL", "REDIS_URL", "MODEL_RUNNER_URL", "USE_MOCK"}
    environment = {name: value for name, value in os.environ.items() if name not in replaceable}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "up", "--port", "0", "--data-dir", str(data_dir)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _await_ready(process)
        yield process, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise


def _await_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    said = ""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        # line by line would be simpler, and would wait for ever on a stack that says nothing
        if select.select([process.stdout], [], [], 1)[0]:
            part = os.read(process.stdout.fileno(), 4096).decode(errors="replace")
            said += part
            if "\nready http://" in f"\n{said}":
                return
            if not part:
                break
    raise RuntimeError(f"`ultra up` did not get ready:\n{said}")
