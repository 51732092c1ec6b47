"""One run of one row: a deployment under load, its clients, and what was done to it."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from tests.faults import audit
from tests.faults.clients import Readers, Submitter
from tests.faults.deployment import Deployment
from tests.faults.history import Fault, History

MODELS = ["steady-a", "steady-b", "steady-c", "steady-d"]
# A worker of the local queue asks its servers 16 questions at a time: most jobs do without.
WITH_LOCAL = ["steady-a", "steady-b", "steady-c", "near-d"]
RAMP_SECONDS = 60.0
DRAIN_SECONDS = 150.0


@dataclass(slots=True)
class Field:
    """What a fault has at hand. `say` tells the person who watches how far it is."""

    deployment: Deployment
    submitter: Submitter
    readers: Readers
    rng: random.Random
    history: History
    say: Callable[[str], None]

    def injecting(self) -> float:
        """To be called when something is about to be done; returns the time, and writes down the load."""
        self.history.in_flight.append(self.submitter.live_calls)
        return time.time()

    def note(self, kind: str, at: float, *, worker: str | None = None, over_at: float | None = None) -> None:
        """Write down what was done at that time."""
        self.history.faults.append(Fault(kind, at, worker, over_at))

    async def loaded(self, seconds: float = RAMP_SECONDS) -> None:
        """Wait until enough calls are in flight; goes on without after a while, as the figures will show."""
        deadline = time.monotonic() + seconds
        while self.submitter.live_calls < self.submitter.enough and time.monotonic() < deadline:
            await asyncio.sleep(0.1)

    async def has_ended(self, job_id: str) -> bool:
        """Whether the API says that the job is over."""
        status, document = await self.deployment.get(f"/api/analysis/{job_id}")
        return status == 200 and orjson.loads(document)["status"] not in {"queued", "running"}


def body(number: int, models: list[str] | None = None, *, is_merged: bool | None = None) -> bytes:
    """A submission whose question is no other's; every second one has its answers compared."""
    merges = number % 2 == 0 if is_merged is None else is_merged
    asked = models or (MODELS if number % 10 else WITH_LOCAL)
    return orjson.dumps({"prompt": f"Question {number}.", "models": asked, "options": {"merge": merges}})


async def collect(field: Field) -> History:
    """Let everything end that can, then read what happened."""
    deployment, history = field.deployment, field.history
    await _settled(field)
    field.say("readers see the end")
    await field.readers.finish(30)
    history.acknowledged = field.submitter.acknowledged
    history.refusals = field.submitter.refusals
    history.readings = field.readers.readings
    await audit.read_database(deployment.postgres.url, history)
    await audit.read_streams(deployment.valkey.url, history)
    audit.read_journals(deployment.directory / "journal", history)
    counts = await deployment.counts()
    history.requests, history.questions = counts["requests"], counts["questions"]
    return history


async def _settled(field: Field) -> None:
    """Wait for the last live job; the checker will say which did not end."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        live = await audit.live_jobs(field.deployment.postgres.url)
        field.say(f"{live} jobs left")
        if live == 0:
            return
        await asyncio.sleep(0.5)
