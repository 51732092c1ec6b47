"""The accounts in Redis, shared by every process: what is asked at once goes there together."""

import asyncio
import logging
from collections.abc import Sequence

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common.admission.operations import Operation, Renew, Reserve, Settle, Verdict
from common.admission.script import SCRIPT

# A look is a fraction of a millisecond. Past this a caller is better served by limits of its own process.
REDIS_SECONDS = 0.5
# A batch blocks Redis for as long as it takes: some 10 microseconds an operation.
MAX_BATCH = 100
# What needs no answer waits so long for company, the next call's reservation above all.
LINGER_SECONDS = 0.02
# So many ends of calls may wait for Redis. Beyond it the oldest are let go, and what they held expires.
MAX_WAITING = 10_000

logger = logging.getLogger(__name__)


class Away(Exception):
    """Redis did not answer. Whether the operations happened is not known; what they took expires."""


def admission_redis(redis_url: str) -> "Redis":
    """A client that gives up soon and asks nothing twice: an answer that comes late admits nobody."""
    return Redis.from_url(
        redis_url,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
    )


class SharedAccounts:
    """Sends operations in the order in which they were given. Belongs to one event loop."""

    def __init__(self, redis: "Redis") -> None:
        self._script = redis.register_script(SCRIPT)
        self._waiting: list[tuple[Operation, asyncio.Future[Verdict] | None]] = []
        self._sending: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def reserve(self, asked: Reserve) -> Verdict:
        """The account's verdict. Whoever stops waiting for it holds nothing that must be given back.

        Raises:
            Away: there is none to be had.
        """
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        self._hurry.set()
        self._send_soon()
        try:
            return await answer
        except asyncio.CancelledError:
            if asked.has_lease:  # which may be granted yet; this goes to Redis after it
                self.put(Settle(asked.key, asked.lease, slot=0, tokens=0, cost=0, period=asked.period))
            raise

    def put(self, operation: Settle | Renew) -> None:
        """Have this done, soon and if Redis is there; returns at once and never fails."""
        if len(self._waiting) >= MAX_WAITING:
            logger.warning("%d ended calls wait for Redis: the oldest are not settled", MAX_WAITING)
            self._waiting = [one for one in self._waiting if one[1] is not None]
        self._waiting.append((operation, None))
        self._send_soon()

    async def knock(self) -> bool:
        """Whether Redis is there, and does what we ask of it."""
        try:
            await self._script(args=[b"[]"])
        except (RedisError, OSError):
            return False
        return True

    async def drain(self) -> None:
        """Wait until what was given so far is sent, or given up."""
        self._hurry.set()
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                if not self._hurry.is_set():
                    await self._linger()
                self._hurry.clear()
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                if any(answer is not None for _, answer in self._waiting):
                    self._hurry.set()
                await self._send(batch)
        finally:
            self._sending = None

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _send(self, batch: Sequence[tuple[Operation, "asyncio.Future[Verdict] | None"]]) -> None:
        answers: Sequence[list[int]] = ()
        try:
            answers = await self._script(args=[orjson.dumps([operation for operation, _ in batch])])
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            logger.warning("%d operations not done: %s", len(batch), error)
            # Whoever waits behind them need not find out for themselves.
            batch, self._waiting = [*batch, *self._waiting], []
        for number, (_, waiting) in enumerate(batch):
            if waiting is None or waiting.done():  # its caller may have gone
                continue
            if answers:
                waiting.set_result(Verdict(*answers[number]))
            else:
                waiting.set_exception(Away())
