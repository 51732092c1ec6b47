"""The load generators, each a process of its own, and what they saw."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gateway.alone import Client
from benchmarks.gateway.answers import CHUNKS
from benchmarks.gateway.systems import Address, Manner, System, write_questions

CONNECTIONS = 32
# an answer that LiteLLM gives to 32 at once takes seconds
_WRK_TIMEOUT_SECONDS = 60
_SCRIPT = Path(__file__).parent / "post.lua"
# bytes an answer may fall short of a first one by: headers count down what is left
_SHORT = 0.95


def require_programs() -> None:
    """Raises RuntimeError with what to install."""
    if missing := [name for name in ("wrk", "taskset") if shutil.which(name) is None]:
        raise RuntimeError(f"no {' and no '.join(missing)}: apt-get install wrk util-linux")


class Loads:
    """`directory` is for the requests, which the generators read from files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self, system: System) -> None:
        """Ask once in each way.

        Raises:
            RuntimeError: an answer is not what the upstream said; its beginning is in the message.
            OSError: there is none.
        """
        self._size(system.address("at_once"), is_streamed=False)
        self._size(system.address("at_once"), is_streamed=True)
        self._size(system.address("halting"), is_streamed=True)

    def rate(self, system: System, manner: Manner, *, is_streamed: bool, seconds: float) -> float:
        """Answers a second to 32 connections that ask again as soon as they are answered.

        Raises:
            RuntimeError: some were no answers: a figure with them would be a lie.
        """
        address = system.address(manner)
        size = self._size(address, is_streamed=is_streamed)
        said = self.wrk(address, [write_questions(self._directory, address, is_streamed=is_streamed)], seconds)
        if said["not_ok"] or said["broken"] or said["bytes"] < _SHORT * size * said["requests"]:
            raise RuntimeError(f"under load: {said}, and a whole answer has {size} bytes")
        return float(said["requests"] / said["seconds"])

    def wrk(self, address: Address, questions: Sequence[Path], seconds: float) -> dict[str, float]:
        """Post the questions in turn for so long; what post.lua says of it."""
        command = [
            "wrk",
            "--threads",
            "1",
            "--connections",
            str(CONNECTIONS),
            "--duration",
            f"{max(round(seconds), 1)}s",
        ]
        command += ["--timeout", f"{_WRK_TIMEOUT_SECONDS}s", "--latency", "--script", str(_SCRIPT), address.url]
        command += ["--", address.key, *map(str, questions)]
        return _said(command, seconds + _WRK_TIMEOUT_SECONDS)

    def alone(self, system: System, manner: Manner, *, is_streamed: bool, seconds: float) -> dict[str, float]:
        """Medians of one connection: `first_ms`, `end_ms`."""
        return self._generate("alone", system.address(manner), is_streamed=is_streamed, seconds=seconds)

    def steady(self, system: System, rate: float, seconds: float) -> dict[str, float]:
        """Percentiles at a rate. Raises RuntimeError if somebody got no answer."""
        address = system.address("at_once")
        said = self._generate("steady", address, is_streamed=False, seconds=seconds, rate=rate)
        if said["refused"] or said["unanswered"]:
            raise RuntimeError(f"at a steady rate: {said}")
        return said

    def crowd(self, system: System, streams: int, tokens: int, open_seconds: float) -> dict[str, float]:
        """What became of so many open streams."""
        address = system.address("paced")
        return self._generate(
            "crowd", address, is_streamed=True, streams=streams, tokens=tokens, open_seconds=open_seconds
        )

    def questions(self, address: Address) -> list[Path]:
        """A mix for `wrk`: one request in four is streamed."""
        whole, stream = (write_questions(self._directory, address, is_streamed=flag) for flag in (False, True))
        return [whole, whole, whole, stream]

    def _size(self, address: Address, *, is_streamed: bool) -> int:
        client = Client(address.port)
        try:
            _, _, received = client.ask(address.raw(is_streamed=is_streamed))
        finally:
            client.close()
        if is_streamed and (b"data: [DONE]" not in received or received.count(b'"content":" ') != CHUNKS - 2):
            raise RuntimeError(f"a stream is not whole: {received[-500:]!r}")
        return len(received)

    def _generate(self, module: str, address: Address, *, is_streamed: bool, **given: float) -> dict[str, float]:
        request = self._directory / f"{module}-{address.port}.http"
        request.write_bytes(address.raw(is_streamed=is_streamed))
        command = [sys.executable, "-m", f"benchmarks.gateway.{module}"]
        command += ["--port", str(address.port), "--request", str(request)]
        for name, value in given.items():
            command += [f"--{name.replace('_', '-')}", f"{value:g}"]
        return _said(command, timeout_seconds=180)


def _said(command: Sequence[str], timeout_seconds: float) -> dict[str, Any]:
    """The JSON of the last line. Raises RuntimeError with the end of what it said instead."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-500:]}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said
