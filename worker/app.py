"""The Celery app of the workers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from common.doorbell import CONTROL_QUEUE
from common.lanes import Lane
from common.settings import Settings


class BatchingCelery(Celery):  # type: ignore[misc]  # celery is untyped
    """Celery whose canvas can publish in one pipeline.

    `chord.apply_async` takes no producer, and publishes each of its messages in a round trip of its
    own: 40% of a control worker's time. Inside `batched()` everything this thread publishes leaves together.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._local = threading.local()

    @contextmanager
    def batched(self) -> Iterator[None]:
        """Publish what this thread publishes inside in one pipeline, at the end; nothing if it raises."""
        with self.producer_pool.acquire(block=True) as producer, producer.batch():
            self._local.producer = producer
            try:
                yield
            finally:
                del self._local.producer

    def producer_or_acquire(self, producer: Any = None) -> Any:
        return super().producer_or_acquire(producer or getattr(self._local, "producer", None))


def create_app(settings: Settings) -> BatchingCelery:
    """The app, not connected to anything yet.

    Recovery is ours (worker/recovery.py), so redelivery by the broker is a second net with wide meshes:
    a message that was popped and never acknowledged comes back after `visibility_timeout`.
    """
    url = settings.redis_url.get_secret_value()
    app = BatchingCelery("ultrallm", broker=url, backend="worker.chords:PostgresChords", set_as_current=False)
    app.conf.update(
        task_default_queue=CONTROL_QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=settings.ultra_task_events,
        task_send_sent_event=settings.ultra_task_events,
        worker_hijack_root_logger=False,
        worker_log_color=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3,
        broker_pool_limit=16,
        broker_pool_acquire_timeout=10,
        broker_transport_options={
            "ack_emulation": False,
            "priority_steps": [int(lane) for lane in Lane],
            "socket_timeout": 6,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            # A connection that died unnoticed is dropped within twice this; before a worker gives itself up.
            "health_check_interval": 5,
        },
    )
    return app
