"""Ringing the broker: 'there is work, look into Postgres'. Messages carry ids and nothing else.

A ring that is lost costs seconds, never a job: the sweep rings again for every row that is due.
"""

import asyncio
import logging
from collections.abc import Sequence

from celery import Celery
from kombu.exceptions import BatchPublishError, OperationalError
from redis.exceptions import RedisError

from common.lanes import Lane

ADVANCE = "job.advance"
RUN_CALL = "call.run"
RECONCILE = "fleet.reconcile"
CONTROL_QUEUE = "control"
# One message may name many jobs: a burst of submissions costs one message, not one each.
JOBS_A_MESSAGE = 50
# In the back lane it names few: a worker that is at a message cannot be overtaken.
JOBS_A_BACK_MESSAGE = 10
# What a broker that is away raises, through kombu and past it.
BROKER_AWAY = (OperationalError, BatchPublishError, RedisError, OSError)

logger = logging.getLogger(__name__)


def producer_app(redis_url: str) -> Celery:
    """A Celery app that can only send: no result backend, so a publish subscribes to nothing."""
    app = Celery("ultrallm", set_as_current=False)
    app.conf.update(
        broker_url=redis_url,
        broker_connection_timeout=3,
        broker_pool_limit=2,
        broker_pool_acquire_timeout=3,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "max_retries": 1,
        },
        task_ignore_result=True,
        task_publish_retry=False,
        task_create_missing_queues=True,
    )
    return app


def send_advance(app: Celery, job_ids: Sequence[str], lane: Lane = Lane.FRONT, queue: str = CONTROL_QUEUE) -> None:
    """Ask a control worker, or one that consumes another queue, to advance these jobs. Blocks on the broker.

    Raises:
        kombu.exceptions.OperationalError: the broker is away.
    """
    size = JOBS_A_MESSAGE if lane is Lane.FRONT else JOBS_A_BACK_MESSAGE
    for start in range(0, len(job_ids), size):
        chunk = list(job_ids[start : start + size])
        app.send_task(ADVANCE, args=(chunk,), queue=queue, priority=int(lane), ignore_result=True, retry=False)


def lifecycle_queue(node: str) -> str:
    """The queue of a node's lifecycle worker."""
    return f"lifecycle.{node}"


def send_reconcile(app: Celery, model: str, nodes: Sequence[str]) -> None:
    """Tell the lifecycle workers of these nodes that a model was asked for, or is to stop. Blocks on the broker.

    Raises:
        kombu.exceptions.OperationalError: the broker is away; they look by themselves every few seconds.
    """
    for node in nodes:
        app.send_task(RECONCILE, args=(model,), queue=lifecycle_queue(node), ignore_result=True, retry=False)


class Doorbell:
    """Rings from an event loop without ever blocking it; rings that come together leave together."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._waiting: dict[tuple[Lane, str], list[str]] = {}
        self._runner: asyncio.Task[None] | None = None

    def ring(self, job_id: str, lane: Lane = Lane.FRONT, queue: str = CONTROL_QUEUE) -> None:
        """Ask for this job to be advanced, soon. Never raises: the row in Postgres is the outbox."""
        self._waiting.setdefault((lane, queue), []).append(job_id)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what is waiting, then close the connections."""
        if self._runner is not None:
            await asyncio.wait([self._runner], timeout=5)
        await asyncio.to_thread(self._app.close)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)
                batches, self._waiting = self._waiting, {}
                for (lane, queue), batch in sorted(batches.items()):
                    try:
                        await asyncio.to_thread(send_advance, self._app, batch, lane, queue)
                    except BROKER_AWAY as error:
                        logger.warning("broker away, the sweep will ring for %d jobs: %s", len(batch), error)
        finally:
            self._runner = None
