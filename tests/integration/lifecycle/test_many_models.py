"""Models that do not fit together, asked at random: all are answered or told why not, and no memory is given twice."""

import asyncio
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from common.settings import Settings
from tests.integration.api.serving import serving
from tests.integration.lifecycle.station import Station, docker

pytestmark = pytest.mark.docker

SEED = 20261121
ASKING_SECONDS = 30.0
CLIENTS = 12
# Each is charged 64 MiB beyond what it says: two of the small ones fit, three do not, and the large one only alone.
LIMIT_MIB = 1100
MEMORIES_MIB = {"a": 320, "b": 352, "c": 384, "d": 416, "e": 448, "large": 960}
TOO_LARGE = "local-too-large"
# What a start is given: longer than anybody lets others pass (planning/policy.py), and then they are let leave.
LOAD_SECONDS = 90
LOOK_SECONDS = 0.3
FORMAT = '{{.State.Status}} {{.HostConfig.Memory}} {{index .Config.Labels "ultra.model"}}'


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: `said` is the answer, or the reason why there is none."""

    model: str
    status: int
    said: str


@dataclass(slots=True)
class Census:
    """What Docker has let containers take, as it says itself, at every look; `models` were there together."""

    installation: str
    most_bytes: int = 0
    most_models: int = 0
    faults: list[str] = field(default_factory=list)

    async def keep(self) -> None:
        while True:
            self._count(await asyncio.to_thread(living, self.installation))
            await asyncio.sleep(LOOK_SECONDS)

    def _count(self, there: list[tuple[str, int]]) -> None:
        taken, models = sum(memory for _, memory in there), Counter(model for model, _ in there)
        self.most_bytes, self.most_models = max(self.most_bytes, taken), max(self.most_models, len(models))
        if taken > LIMIT_MIB << 20:
            self.faults.append(f"{taken >> 20} MiB at once: {there}")
        if any(count > 1 for count in models.values()):
            self.faults.append(f"two of one model: {there}")


def living(installation: str) -> list[tuple[str, int]]:
    """The containers of this installation that have not ended: their models, and their limits in bytes."""
    listed = docker("ps", "-aq", "--filter", f"label=ultra.installation={installation}")
    if not listed:
        return []
    # Docker complains of one that was removed since it was listed, and tells of the others.
    told = subprocess.run(
        ["docker", "inspect", "--format", FORMAT, *listed], check=False, capture_output=True, text=True, timeout=60
    )
    rows = [line.split() for line in told.stdout.splitlines()]
    return [(model, int(memory)) for status, memory, model in rows if status in {"created", "running"}]


@pytest.fixture
async def api(station: Station, postgres_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    environment = {"LOAD_SECONDS": "0.3"}
    for name, mib in {**MEMORIES_MIB, "too-large": 2 * LIMIT_MIB}.items():
        station.has(name, memory=f"{mib} MiB", load_seconds=LOAD_SECONDS, environment=environment)
    settings = Settings(database_url=postgres_url, redis_url=redis_url, ultra_models_path=tmp_path / "models.yaml")
    async with serving(settings) as client:
        client.timeout = httpx.Timeout(2 * LOAD_SECONDS)
        yield client


async def test_models_that_do_not_fit_together_are_served_in_turn(station: Station, api: httpx.AsyncClient) -> None:
    models = [f"local-{name}" for name in MEMORIES_MIB]
    station.start_worker(ULTRA_MODEL_MEMORY_MIB=str(LIMIT_MIB))
    await station.looked_after()
    census = Census(await station.installation())
    watching = asyncio.create_task(census.keep())
    asking = (client(api, random.Random(SEED + number), [*models, TOO_LARGE]) for number in range(CLIENTS))
    outcomes = [outcome for some in await asyncio.gather(*asking) for outcome in some]
    last = await asyncio.gather(*(ask(api, model) for model in models))
    watching.cancel()

    assert census.faults == []
    assert census.most_models == 2, "nothing ran beside anything"
    assert census.most_bytes > 768 << 20
    assert [outcome for outcome in outcomes if not is_answer_or_reason(outcome)] == []
    # nobody is hungry or stuck in the end: with nobody else there, each has its turn
    assert {(outcome.status, outcome.said) for outcome in last} == {(200, model) for model in models}
    answered = Counter(outcome.model for outcome in outcomes if outcome.status == 200)
    assert len(answered) >= len(models) - 1, answered
    [evictions] = await station.sql("SELECT count(*) AS n FROM model_events WHERE kind = 'retired'")
    assert evictions["n"] >= len(models)


async def client(api: httpx.AsyncClient, choice: random.Random, models: list[str]) -> list[Outcome]:
    """Ask for one after the other, with pauses between, until time is up."""
    outcomes = []
    until = time.monotonic() + ASKING_SECONDS
    while time.monotonic() < until:
        outcomes.append(await ask(api, choice.choice(models), choice.uniform(0, 1.5)))
        await asyncio.sleep(choice.uniform(0, 1))
    return outcomes


async def ask(api: httpx.AsyncClient, model: str, seconds: float = 0) -> Outcome:
    messages = [{"role": "user", "content": f"Take {seconds:.2f} seconds."}]
    response = await api.post("/v1/chat/completions", json={"model": model, "messages": messages})
    document = response.json()
    if response.status_code == 200:
        return Outcome(model, 200, document["choices"][0]["message"]["content"])
    return Outcome(model, response.status_code, document["error"]["message"])


def is_answer_or_reason(outcome: Outcome) -> bool:
    """The model's own answer; or that there was no room for it, and how much it needs."""
    if outcome.model == TOO_LARGE:
        return outcome.status == 503 and "fits nowhere" in outcome.said
    if outcome.status == 200:
        return outcome.said == outcome.model
    return outcome.status == 503 and "found no room in time" in outcome.said
