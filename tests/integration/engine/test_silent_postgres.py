"""A worker whose connection to Postgres fell silent: something between them holds it open, and nobody answers."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from common.database.connect import connect
from tests.integration.engine.runners import Heard
from tests.integration.engine.stack import PATIENCE_SECONDS, Desk
from tests.integration.engine.test_counters import begun
from tests.integration.wire import Wire
from worker.recovery import Sweep
from worker.store import Store

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def wire(postgres_url: str) -> Wire:
    return Wire(postgres_url)


@pytest.fixture
async def engine(wire: Wire) -> AsyncIterator[AsyncEngine]:
    async with wire.laid() as url:
        engine = connect(url, pool_size=2)
        yield engine
        await engine.dispose()


async def test_its_heartbeat_is_given_up_and_the_next_one_takes_another(
    desk: Desk, wire: Wire, engine: AsyncEngine
) -> None:
    store = Store(engine, worker="w", lease=MINUTE, grace=MINUTE)
    _, [call_id] = await begun(desk)
    assert await store.claim(call_id)
    wire.strand()
    with pytest.raises(TimeoutError):
        await store.heartbeat([(call_id, 1)], seconds=0.3)
    assert await store.heartbeat([(call_id, 1)], seconds=PATIENCE_SECONDS) == {call_id}


async def test_its_sweep_is_given_up(wire: Wire, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep(engine, Heard(), lambda _: None, grace=MINUTE, max_attempts=2, interval_seconds=1)
    await sweep.once()
    wire.strand()
    monkeypatch.setattr("worker.recovery.SWEEP_SECONDS", 0.3)
    with pytest.raises(TimeoutError):
        await sweep.once()
