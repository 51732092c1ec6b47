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

    def __init__(self) -> None:
        self.is_beaten = asyncio.Event()

    async def heartbeat(self, held: Sequence[tuple[UUID, int]], *, seconds: float) -> set[UUID]:
        self.is_beaten.set()
        return set()


def claim() -> Claim:
    return Claim(uuid7(), uuid7(), 1, "mock-a", Call(model="mock-a", messages=()), Route())


async def beat_once(leases: Leases, is_beaten: asyncio.Event) -> None:
    keeping = asyncio.create_task(leases.keep())
    async with asyncio.timeout(10):
        await is_beaten.wait()
    keeping.cancel()


async def test_work_whose_lease_was_lost_is_stopped() -> None:
    store: Any = LosingStore()
    leases = Leases(store, redis=None, lease_seconds=60)  # type: ignore[arg-type]
    work = asyncio.create_task(asyncio.Event().wait())
    leases.hold(Held(claim(), work))
    await beat_once(leases, store.is_beaten)
    await asyncio.wait([work], timeout=10)
    assert work.cancelled()


async def test_a_result_that_is_being_recorded_is_not_stopped() -> None:
    store: Any = LosingStore()
    leases = Leases(store, redis=None, lease_seconds=60)  # type: ignore[arg-type]
    is_written = asyncio.Event()
    held = Held(claim(), asyncio.create_task(is_written.wait()))
    leases.hold(held)
    held.begin_writing()
    await beat_once(leases, store.is_beaten)
    is_written.set()
    assert held.work is not None
    assert await held.work


async def test_work_that_goes_on_with_another_token_after_it_wrote_can_be_stopped_again() -> None:
    held = Held(claim(), asyncio.create_task(asyncio.Event().wait()))
    held.begin_writing()
    held.renew(replace(held.claim, attempt=2))
    held.stop()
    assert held.work is not None
    await asyncio.wait([held.work], timeout=10)
    assert held.work.cancelled()


class RenewingStore:
    """A store whose heartbeat is overtaken: while it is on the way, the call draws its next token."""

    def __init__(self, one: Held) -> None:
        self._one = one
        self.is_beaten = asyncio.Event()

    async def heartbeat(self, held: Sequence[tuple[UUID, int]], *, seconds: float) -> set[UUID]:
        self._one.renew(replace(self._one.claim, attempt=2))
        self.is_beaten.set()
        return set()


async def test_a_call_that_draws_its_next_token_during_a_heartbeat_is_not_stopped() -> None:
    has_ended = asyncio.Event()
    held = Held(claim(), asyncio.create_task(has_ended.wait()))
    store: Any = RenewingStore(held)
    leases = Leases(store, redis=None, lease_seconds=60)  # type: ignore[arg-type]
    leases.hold(held)
    await beat_once(leases, store.is_beaten)
    assert held.claim.attempt == 2
    has_ended.set()
    assert held.work is not None
    assert await held.work


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
