"""Workers pinned to GPUs: who makes the calls to a model that lies on one."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from redis import Redis

from common.catalog.local import GIB
from common.presence import CONSUMES, PINNED_TO, WORKERS_KEY, worker_key
from tests.integration.engine.stack import PATIENCE_SECONDS, ULTRA, Desk, Workers
from tests.nvml.machine import Machine, Scripted

CATALOG = """\
defaults: {models: [local-big]}
models:
  local-big: {source: {path: big}, engine: transformers, memory: 8 GiB, gpu: auto, slots: 4}
  local-small: {source: {path: small}, engine: llamacpp, memory: 1 GiB, slots: 4}
"""
BIG = "local-big"
PINNED = (ULTRA, "worker", "--device", "0", "--node", "here")
QUEUE = "gpu.here.0"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.has([Scripted("GPU-a", 80 * GIB)])
    return machine


@pytest.fixture
def said(machine: Machine, tmp_path: Path) -> dict[str, str]:
    """What every worker of these tests is told: the mock stands in for what is in containers."""
    path = tmp_path / "models.yaml"
    path.write_text(CATALOG)
    return machine.environment | {"ULTRA_MODELS_PATH": str(path), "USE_MOCK": "true"}


async def lies_on(desk: Desk, *uuids: str) -> None:
    """What a lifecycle worker writes of an instance that is ready."""
    await desk.sql(
        "INSERT INTO models (id, is_wanted, node, generation, state) VALUES (:model, true, 'here', 1, 'ready')",
        model=BIG,
    )
    await desk.sql(
        "INSERT INTO instances (container, model, generation, node, base_url, status, gpu_uuids, proved_at) "
        "VALUES ('c', :model, 1, 'here', 'http://127.0.0.1:1', 'running', :uuids, now())",
        model=BIG,
        uuids=list(uuids),
    )


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def consumed_queues(redis_url: str) -> set[str]:
    with Redis.from_url(redis_url) as redis:
        records = [redis.get(worker_key(name.decode())) for name in redis.smembers(WORKERS_KEY)]
    workers = [orjson.loads(record) for record in records if record]
    return {queue for worker in workers if worker[CONSUMES] for queue in worker["queues"]}


async def makers(desk: Desk, model: str) -> set[str]:
    """Which kinds of worker make a new job's calls to this model."""
    job_id = await desk.submit(model, model, merge=False)
    assert (await desk.ended(job_id))["status"] == "completed"
    rows = await desk.sql("SELECT worker FROM calls WHERE job_id = :id", id=job_id)
    return {row["worker"].partition(".")[0] for row in rows}


async def until_made_by(desk: Desk, kind: str) -> None:
    """What workers know of each other is some seconds old."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await makers(desk, BIG) != {kind}:
        assert time.monotonic() < deadline


async def test_calls_go_to_the_worker_of_the_gpu_that_holds_their_model(
    desk: Desk, team: Workers, redis_url: str, said: dict[str, str]
) -> None:
    await lies_on(desk, "GPU-a")
    team.start(**said)
    team.start("gpu", program=PINNED, **said)
    await until(lambda: {QUEUE, "local"} <= consumed_queues(redis_url))
    await until_made_by(desk, "gpu")
    assert await makers(desk, "local-small") == {"worker"}
    # what came before anybody knew is handed on to the GPU's worker by who finds it
    await desk.sql("UPDATE models SET state = 'starting' WHERE id = :model", model=BIG)
    await until_made_by(desk, "worker")


async def test_a_gpus_worker_that_is_killed_loses_no_call(
    desk: Desk, team: Workers, redis_url: str, said: dict[str, str]
) -> None:
    await lies_on(desk, "GPU-a")
    team.start(**said)
    pinned = team.start("gpu", program=PINNED, **said)
    await until(lambda: {QUEUE, "local"} <= consumed_queues(redis_url))
    await until_made_by(desk, "gpu")

    pinned.send_signal(signal.SIGKILL)
    pinned.wait(10)
    job_id = await desk.submit(BIG, BIG, BIG, merge=False)
    await desk.until(job_id, lambda row: bool(row["calls"]))
    assert {row["queue"] for row in await desk.sql("SELECT queue FROM calls WHERE job_id = :id", id=job_id)} == {QUEUE}
    with Redis.from_url(redis_url) as redis:  # as it would expire
        redis.delete(worker_key(f"gpu.{pinned.pid}@here"))
    assert (await desk.ended(job_id))["status"] == "completed"


async def test_a_worker_says_which_gpu_it_is_pinned_to(team: Workers, redis_url: str, said: dict[str, str]) -> None:
    pinned = team.start("gpu", program=PINNED, **said)
    await until(lambda: QUEUE in consumed_queues(redis_url))
    with Redis.from_url(redis_url) as redis:
        record = orjson.loads(redis.get(worker_key(f"gpu.{pinned.pid}@here")) or b"null")
    assert (record["kind"], record["queues"], record[PINNED_TO]) == ("gpu", [QUEUE], "GPU-a")


@pytest.mark.parametrize(
    ("gpus", "complaint"),
    [
        ([], "There is no GPU 0 here. NVML finds no GPU."),
        ([Scripted("GPU-a", 80 * GIB, is_lost=True)], "There is no GPU 0 here. GPU 0 is left out: GPU is lost."),
        (
            [Scripted("GPU-a", 80 * GIB, is_lost=True), Scripted("GPU-b", 24 * GIB, name="Other GPU")],
            "There is no GPU 0 here. There is 1 (Other GPU).",
        ),
    ],
)
def test_a_worker_without_its_gpu_does_not_start(
    machine: Machine, team: Workers, said: dict[str, str], gpus: list[Scripted], complaint: str
) -> None:
    machine.has(gpus)
    assert team.start("gpu", program=PINNED, **said).wait(PATIENCE_SECONDS) == 1
    assert f"error: {complaint}" in team.logs()


@pytest.mark.parametrize("arguments", [["gpu"], ["local", "--device", "0"]])
def test_a_gpus_worker_and_its_device_go_together(arguments: list[str]) -> None:
    ended = subprocess.run([ULTRA, "worker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "go together" in ended.stderr
