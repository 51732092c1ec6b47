import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from common.contracts.calls import Call
from common.ids import uuid7
from common.routing import Route
from worker.leases import Leases
from worker.store import Claim


class LosingStore:
    """A store in which every lease is gone, as after a commit that the task has not heard of."""

    async def heartbeat(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        return set()


def claim() -> Claim:
    return Claim(uuid7(), uuid7(), 1, "mock-a", Call(model="mock-a", messages=()), Route())


async def beat_once(leases: Leases) -> None:
    keeping = asyncio.create_task(leases.keep())
    await asyncio.sleep(0.05)
    keeping.cancel()


async def test_work_whose_lease_was_lost_is_stopped() -> None:
    store: Any = LosingStore()
    leases = Leases(store, redis=None, lease_seconds=0.03)  # type: ignore[arg-type]
    work = asyncio.create_task(asyncio.sleep(10))
    leases.hold(claim(), work)
    await beat_once(leases)
    assert work.cancelled()


async def test_a_result_that_is_being_recorded_is_not_stopped() -> None:
    store: Any = LosingStore()
    leases = Leases(store, redis=None, lease_seconds=0.03)  # type: ignore[arg-type]
    work = asyncio.create_task(asyncio.sleep(0.2))
    one = claim()
    leases.hold(one, work)
    leases.begin_recording(one)
    await beat_once(leases)
    assert not work.cancelled()
    await work
