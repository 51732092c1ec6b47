"""What a scrape tells of machines, GPUs and models, from the rows that lifecycle workers write."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.catalog.local import GIB
from common.database.connect import connect
from common.fleet.contracts import Gpu, Host, Instance, Observed, Reservation, RunnerHealth
from common.fleet.store import FleetStore
from common.settings import Settings
from tests.integration.api.test_recovery_metrics import figures
from worker.lifecycle.planning.plan import account

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BIG, SMALL = Gpu("GPU-a", 0, "NVIDIA H200", 140 * GIB, 20 * GIB, 0.5), Gpu("MIG-b", 1, "MIG", 10 * GIB, GIB)
INSTANCE = Instance(
    container="c",
    model="local-big",
    generation=1,
    spec="s",
    node="here",
    reserved=Reservation(4 * GIB, 16 * GIB, ("GPU-a",)),
    status="running",
    created_at=NOW,
    health=RunnerHealth(status="ready", in_flight=2, waiting=1, memory_bytes=GIB, gpu_memory_bytes=18 * GIB),
)


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = connect(settings.database_url.get_secret_value(), pool_size=2)
    yield engine
    await engine.dispose()


async def report(engine: AsyncEngine) -> None:
    """One round of the lifecycle worker of `here`: a model on a GPU."""
    store = FleetStore(engine, "here")
    await store.observe([INSTANCE], {"c": "http://127.0.0.1:1"})
    host = Host("here", UUID(int=1), 64 * GIB, 60 * GIB)
    observed = Observed(taken_at=NOW, read_at=NOW, instances=(INSTANCE,))
    await store.report(host, (BIG, SMALL), account((), observed, (BIG, SMALL), host, NOW))
    async with engine.connect() as connection:
        await connection.execute(
            text(
                "INSERT INTO models (id, node, generation, state, restarts) VALUES ('local-big', 'here', 1, 'ready', 3)"
            )
        )


async def test_memory_and_use_of_machines_gpus_and_models_are_shown(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await report(engine)
    seen = await figures(api)
    assert seen["ultra_node_up here"] == 1
    assert seen["ultra_node_memory_bytes here limit"] == 64 * GIB
    assert seen["ultra_node_memory_bytes here available"] == 60 * GIB
    assert seen["ultra_gpu_memory_bytes 0 here total GPU-a"] == 140 * GIB
    assert seen["ultra_gpu_memory_bytes 0 here used GPU-a"] == 20 * GIB
    # 18 GiB that the model was seen to take, and 2 GiB of others: the margin for its CUDA context is among those
    assert seen["ultra_gpu_memory_bytes 0 here free GPU-a"] == 120 * GIB
    assert seen["ultra_gpu_utilisation 0 here GPU-a"] == 0.5
    assert seen["ultra_model_memory_bytes local-big here given gpu"] == 16 * GIB
    assert seen["ultra_model_memory_bytes local-big here seen gpu"] == 18 * GIB
    assert seen["ultra_model_memory_bytes local-big here seen host"] == GIB
    assert seen["ultra_model_calls local-big here running"] == 2
    assert seen["ultra_model_calls local-big here waiting"] == 1
    assert seen["ultra_model_restarts_total local-big"] == 3


async def test_what_is_not_known_is_left_out(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await report(engine)
    seen = await figures(api)
    assert "ultra_gpu_memory_bytes 1 here total MIG-b" in seen
    assert "ultra_gpu_utilisation 1 here MIG-b" not in seen


async def test_of_a_node_that_nobody_hears_of_it_is_told_that_it_is_down(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await report(engine)
    async with engine.connect() as connection:
        await connection.execute(text("UPDATE nodes SET seen_at = now() - interval '5 minutes'"))
    seen = await figures(api)
    assert seen["ultra_node_up here"] == 0
    assert not [name for name in seen if name.startswith(("ultra_gpu", "ultra_node_memory", "ultra_model_memory"))]


async def test_without_a_fleet_there_is_nothing_to_show(api: httpx.AsyncClient) -> None:
    assert not [name for name in await figures(api) if name.startswith(("ultra_gpu", "ultra_node"))]
