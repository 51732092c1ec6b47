"""The two systems under measurement behind one face, so that every figure is taken the same way of both."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.processes import Processes

ZERO_MODELS = [f"mock-{letter}" for letter in "abcde"]
SLOW_MODELS = [f"mock-slow-{letter}" for letter in "abcde"]
PROMPT = "Compare three ways to keep a promise."


class System(Protocol):
    """Something that takes comparisons of five models by POST and finishes them some time later."""

    name: str
    port: int
    submit_path: str
    processes: Processes

    def start(self) -> None:
        """Start every process; returns when the API listens. Workers may still be on their way."""

    def body(self, models: Sequence[str], *, is_merged: bool) -> str:
        """The JSON to POST."""

    def show_path(self, comparison_id: str) -> str:
        """Where the comparison is polled."""

    def is_finished(self, document: dict[str, object]) -> bool:
        """Whether a polled document is final."""

    def finished_at(self, ids: Sequence[str]) -> dict[str, float]:
        """Unix times, as the system itself recorded them, of those that are finished by now.

        Raises:
            RuntimeError: one of them finished without all of its answers: a figure with it would be a lie.
        """

    def purge(self) -> None:
        """Forget all work, queued and done; returns when the workers are idle."""


def until(condition: Callable[[], bool], what: str, *, timeout_seconds: float = 60.0) -> None:
    """Wait for the condition, looking every 50 ms.

    Raises:
        TimeoutError: it did not come true in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(0.05)
