import asyncio
from collections.abc import Sequence
from dataclasses import replace
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
    leases.begin_writing(one)
    await beat_once(leases)
    assert not work.cancelled()
    await work


class RenewingStore:
    """A store whose heartbeat is overtaken: while it is on the way, the call draws its next token."""

    def __init__(self, one: Claim) -> None:
        self._one = one
        self.leases: Leases | None = None

    async def heartbeat(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        assert self.leases is not None
        if held == [(self._one.call_id, 1)]:
            self.leases.renew(replace(self._one, attempt=2))
            return set()
        return {call_id for call_id, _ in held}


async def test_a_call_that_draws_its_next_token_during_a_heartbeat_is_not_stopped() -> None:
    one = claim()
    store: Any = RenewingStore(one)
    leases = store.leases = Leases(store, redis=None, lease_seconds=0.03)  # type: ignore[arg-type]
    work = asyncio.create_task(asyncio.sleep(0.2))
    leases.hold(one, work)
    await beat_once(leases)
    assert not work.cancelled()
    assert leases.current(one).attempt == 2
    await work
