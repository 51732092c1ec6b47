"""The calls this process holds: their heartbeat, and how they are stopped from outside."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from common.background import keep_doing
from common.events import CANCEL_CHANNEL
from worker.store import Claim, Store

# Under a load that a short lease is not meant for, a beat may take this long all the same.
SHORTEST_ANSWER_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Held:
    """A claimed call, with its latest token, and the task that works on it.

    While a write of its own is on the way it is nobody's to stop: Postgres may have its result or its next
    token already, and then no longer shows the lease that we know of, before the task hears of it.
    """

    claim: Claim
    work: asyncio.Task[Any] | None = None
    is_writing: bool = False
    # done once the thread that brought the call may go, though its work has not ended
    parted: asyncio.Future[None] | None = None

    def begin_writing(self) -> None:
        """Its result or its next token is on the way: a lease that is missing from now on is no reason to stop."""
        self.is_writing = True

    def renew(self, claim: Claim) -> None:
        """The claim has a new token: the next upstream request's."""
        self.claim, self.is_writing = claim, False

    def stop(self) -> None:
        """End the work, unless it is writing."""
        if self.work is not None and not self.is_writing:
            self.work.cancel()


class Leases:
    """Keeps claims alive while their work runs, and ends the work of claims that were lost."""

    def __init__(self, store: Store, redis: "Redis", lease_seconds: float) -> None:
        self._store = store
        self._redis = redis
        # Three beats a lease: two may fail before anybody takes the call away.
        self._beat_seconds = lease_seconds / 3
        # Over a connection that has fallen silent no beat comes through; the next one takes another.
        self._answer_seconds = max(SHORTEST_ANSWER_SECONDS, self._beat_seconds / 2)
        self._held: dict[UUID, Held] = {}
        self._is_stopping = False

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, held: Held) -> None:
        """Keep this claim alive.

        The call may have been ours before: who was suspended with the whole machine finds its lease run out, and
        may be the one that claims it again. The work of the earlier claim is stopped then.
        """
        lost = self._held.get(held.claim.call_id)
        if lost is not None:
            lost.stop()
        self._held[held.claim.call_id] = held
        if self._is_stopping and held.work is not None:  # its claim was on the way when the others were stopped
            held.work.cancel()

    def drop(self, held: Held) -> None:
        """The work on this claim has ended."""
        if self._held.get(held.claim.call_id) is held:
            del self._held[held.claim.call_id]

    def part(self, call_id: UUID) -> None:
        """Let the thread that brought this call go: it will wait for long, and needs none for that."""
        held = self._held.get(call_id)
        if held is not None and held.parted is not None and not held.parted.done():
            held.parted.set_result(None)

    def stop_all(self) -> None:
        """Cancel all work, and whatever is still begun: the process is going down."""
        self._is_stopping = True
        for held in self._held.values():
            if held.work is not None:
                held.work.cancel()

    async def keep(self) -> None:
        """Send heartbeats for ever. A claim that Postgres no longer knows as ours is stopped."""
        await keep_doing(self._beat, pause_seconds=self._beat_seconds)

    async def listen(self) -> None:
        """Stop the calls of jobs that are cancelled, as soon as Redis tells; the heartbeat finds the rest."""
        await keep_doing(self._listen)

    async def _beat(self) -> None:
        sent = {id_: (one, one.claim.attempt) for id_, one in self._held.items()}
        if not sent:
            return
        try:
            ours = await self._store.heartbeat(
                [(id_, attempt) for id_, (_, attempt) in sent.items()], seconds=self._answer_seconds
            )
        except (SQLAlchemyError, OSError) as error:
            logger.warning("heartbeat failed, will try again: %s", error)
            return
        for call_id in sent.keys() - ours:
            one, attempt = sent[call_id]
            # else it ended or drew another token while we asked
            if self._held.get(call_id) is one and one.claim.attempt == attempt:
                one.stop()

    async def _listen(self) -> None:
        try:
            async with self._redis.pubsub() as pubsub:
                await pubsub.subscribe(CANCEL_CHANNEL)
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        self._stop_job(UUID(message["data"].decode()))
        except (RedisError, OSError, ValueError) as error:
            logger.warning("not listening for cancellations: %s", error)
            await asyncio.sleep(1)

    def _stop_job(self, job_id: UUID) -> None:
        for held in self._held.values():
            if held.claim.job_id == job_id:
                held.stop()
