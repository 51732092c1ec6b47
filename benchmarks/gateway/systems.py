"""The systems under measurement, behind one face: each takes OpenAI's chat completions and asks the one upstream."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from benchmarks.gateway.answers import question
from benchmarks.processes import Processes, free_port
from benchmarks.systems import until

Manner = Literal["at_once", "flushed", "halting", "paced"]
"""How the upstream streams: see upstream.py."""
MANNERS: tuple[Manner, ...] = ("at_once", "flushed", "halting", "paced")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes; `model` makes the system ask the upstream for one manner of streaming."""

    port: int
    path: str
    key: str
    model: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def raw(self, *, is_streamed: bool) -> bytes:
        """The bytes of a whole request."""
        body = question(self.model, is_streamed=is_streamed)
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class System(Protocol):
    """Something that is asked. `pid` is the process to weigh."""

    name: str

    def start(self) -> None:
        """Start it; returns when it answers. Raises RuntimeError or TimeoutError if it cannot."""

    def address(self, manner: Manner) -> Address:
        """Where to ask for it."""

    @property
    def pid(self) -> int:
        """Its one process."""


@dataclass(frozen=True, slots=True)
class Cores:
    """One for the process under test, one for everything else: load, upstream, Postgres, Valkey, ourselves."""

    tested: int
    others: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The first two that we may use.

        Raises:
            RuntimeError: there is only one.
        """
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise RuntimeError("two cores are needed: one for the process under test, one for its load")
        return cls(allowed[0], allowed[1])

    def pinned(self, command: Sequence[str]) -> list[str]:
        """The command, on the core of the process under test. Children of ours are on the other core as we are."""
        return ["taskset", "--cpu-list", str(self.tested), *command]


class Direct:
    """No gateway: the upstream itself. What the others add is measured from here."""

    name = "direct"

    def __init__(self, processes: Processes, *, paced_tokens: int) -> None:
        self.port = free_port()
        self._processes = processes
        self._paced_tokens = paced_tokens

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._processes.pids["upstream"]

    def start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.gateway.upstream", "--port", str(self.port)]
        self._processes.start("upstream", [*command, "--paced-tokens", str(self._paced_tokens)])
        until(lambda: self._processes.are_up(self.port), "the upstream listens")

    def address(self, manner: Manner) -> Address:
        return Address(self.port, f"/{manner}/v1/chat/completions", "upstream", "canned-1")


class Bare:
    """Starlette and aiohttp, and nothing between: bare.py."""

    name = "bare"

    def __init__(self, processes: Processes, cores: Cores, upstream: Direct) -> None:
        self.port = free_port()
        self._processes, self._cores, self._upstream = processes, cores, upstream

    @property
    def pid(self) -> int:
        return self._processes.pids["bare"]

    def start(self) -> None:
        serve = f"uvicorn benchmarks.gateway.bare:app --host 127.0.0.1 --port {self.port} --loop uvloop"
        serve += " --http httptools --log-level warning --no-access-log --backlog 4096"
        command = self._cores.pinned([sys.executable, "-m", *serve.split()])
        self._processes.start("bare", command, {"BARE_UPSTREAM": self._upstream.base})
        until(lambda: self._processes.are_up(self.port), "the bare peer listens")

    def address(self, manner: Manner) -> Address:
        return Address(self.port, "/v1/chat/completions", "none", f"{manner}-canned-1")


def write_questions(directory: Path, address: Address, *, is_streamed: bool) -> Path:
    """The body that this address is asked with, in a file, for wrk."""
    path = directory / f"{address.port}-{address.model}-{'stream' if is_streamed else 'whole'}.json"
    path.write_bytes(question(address.model, is_streamed=is_streamed))
    return path
