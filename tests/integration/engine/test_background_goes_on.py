"""What runs beside the calls, for as long as the process lives: one odd fault does not end it for good."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from cli.embedded.ports import free_port
from common.ending import end
from common.events import EventLog
from common.ids import uuid7
from tests.integration.engine.runners import Heard
from tests.integration.engine.stack import Desk
from worker.leases import Held, Leases
from worker.recovery import Found, Sweep

MINUTE = timedelta(minutes=1)
SOON_SECONDS = 15


async def test_the_sweep_goes_on_after_a_ring_that_failed_in_an_unknown_way(desk: Desk) -> None:
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()
    faults = [RuntimeError("can't start new thread")]

    def ring(_: Found) -> None:
        if faults:
            raise faults.pop()
        loop.call_soon_threadsafe(rung.set)

    sweep = Sweep(desk.engine, Heard(), ring, grace=MINUTE, max_attempts=3, interval_seconds=0.01)
    keeping = asyncio.create_task(sweep.keep())
    try:
        await asyncio.wait_for(rung.wait(), SOON_SECONDS)
    finally:
        await end([keeping])


class FaultyStore:
    """A store whose first heartbeat fails in a way that nobody thought of."""

    def __init__(self) -> None:
        self.beats = 0
        self.is_asked_again = asyncio.Event()

    async def heartbeat(self, held: list[tuple[UUID, int]], *, seconds: float) -> set[UUID]:
        self.beats += 1
        if self.beats == 1:
            raise RuntimeError("can't start new thread")
        self.is_asked_again.set()
        return {call_id for call_id, _ in held}


async def test_heartbeats_go_on_after_one_that_failed_in_an_unknown_way() -> None:
    store: Any = FaultyStore()
    no_redis: Any = None
    leases = Leases(store, no_redis, lease_seconds=0.03)
    claim: Any = type("Claimed", (), {"call_id": uuid7(), "job_id": uuid7(), "attempt": 1})
    leases.hold(Held(claim))
    keeping = asyncio.create_task(leases.keep())
    try:
        await asyncio.wait_for(store.is_asked_again.wait(), SOON_SECONDS)
    finally:
        await end([keeping])


async def test_a_process_that_stops_while_redis_is_away_does_not_wait_for_its_events() -> None:
    async with Redis(port=free_port(), socket_connect_timeout=1) as redis:
        events = EventLog(redis)
        events.append(uuid7(), "job.status", {"status": "running"})
        await asyncio.wait_for(events.drain(), SOON_SECONDS)
