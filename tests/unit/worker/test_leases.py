import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from common.contracts.calls import Call
from common.ids import uuid7
from common.routing import Route
from worker.leases import Held, Leases
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
    leases.hold(Held(claim(), work))
    await beat_once(leases)
    assert work.cancelled()


async def test_a_result_that_is_being_recorded_is_not_stopped() -> None:
    store: Any = LosingStore()
    leases = Leases(store, redis=None, lease_seconds=0.03)  # type: ignore[arg-type]
    work = asyncio.create_task(asyncio.sleep(0.2))
    held = Held(claim(), work)
    leases.hold(held)
    held.begin_writing()
    await beat_once(leases)
    assert not work.cancelled()
    await work


class RenewingStore:
    """A store whose heartbeat is overtaken: while it is on the way, the call draws its next token."""

    def __init__(self, one: Held) -> None:
        self._one = one

    async def heartbeat(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        if held == [(self._one.claim.call_id, 1)]:
            self._one.renew(replace(self._one.claim, attempt=2))
            return set()
        return {call_id for call_id, _ in held}


async def test_a_call_that_draws_its_next_token_during_a_heartbeat_is_not_stopped() -> None:
    work = asyncio.create_task(asyncio.sleep(0.2))
    held = Held(claim(), work)
    store: Any = RenewingStore(held)
    leases = Leases(store, redis=None, lease_seconds=0.03)  # type: ignore[arg-type]
    leases.hold(held)
    await beat_once(leases)
    assert not work.cancelled()
    assert held.claim.attempt == 2
    await work


async def test_a_call_that_we_lost_and_claimed_again_is_worked_on_once_and_stays_held() -> None:
    store: Any = LosingStore()
    leases = Leases(store, redis=None, lease_seconds=60)  # type: ignore[arg-type]
    first = Held(claim(), asyncio.create_task(asyncio.sleep(10)))
    second = Held(replace(first.claim, attempt=2), asyncio.create_task(asyncio.sleep(0)))
    leases.hold(first)
    leases.hold(second)
    assert first.work is not None
    await asyncio.wait([first.work])
    assert first.work.cancelled()
    leases.drop(first)
    assert len(leases) == 1
    leases.drop(second)
    assert len(leases) == 0
