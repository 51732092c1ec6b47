"""A worker that is told to stop before Celery listens to signals."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import signals
from celery.exceptions import WorkerShutdown
from celery.worker import state

from worker.canary import Canary
from worker.start import consume

STOPPING = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    told = (signals.worker_shutting_down, signals.celeryd_after_setup)
    receivers = [list(one.receivers) for one in told]
    yield
    state.should_stop = None
    for one, those in zip(told, receivers, strict=True):
        one.receivers[:] = those
    for number, handler in before.items():
        signal.signal(number, handler)


def nothing() -> None: ...


class Scripted:
    """A runtime, and Celery, who do at each step what a test says; keeps the steps."""

    canary: Canary

    def __init__(self, **does: Callable[[], None]) -> None:
        self.steps: list[str] = []
        self._does = does

    def __getattr__(self, step: str) -> Callable[..., None]:
        def take(*_: Any) -> None:
            self.steps.append(step)
            self._does.get(step, nothing)()

        return take


def consumed(scripted: Any) -> int:
    return consume(scripted, scripted, ["control"], "me", [])


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize(
    ("step", "steps"),
    [
        ("start", ["start", "drain", "worker_main", "close"]),
        ("worker_main", ["start", "worker_main", "drain", "close"]),
    ],
)
def test_it_takes_no_message_and_drains(step: str, steps: list[str], number: signal.Signals) -> None:
    scripted = Scripted(**{step: lambda: os.kill(os.getpid(), number)})
    assert consumed(scripted) == 0
    assert scripted.steps == steps
    with pytest.raises(WorkerShutdown) as ending:
        state.maybe_shutdown()
    assert ending.value.code == 0


def test_one_that_is_not_told_to_stop_goes_on() -> None:
    scripted = Scripted()
    assert consumed(scripted) == 0
    assert scripted.steps == ["start", "worker_main", "close"]
    state.maybe_shutdown()
