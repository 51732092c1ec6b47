"""Proof that this worker consumes: a message to itself, through the broker, again and again.

A worker can renew its leases and its presence, answer every ping and hold all of its connections while its
consumer, which reconnected after a broker's restart, never pops again. So each worker also consumes a queue of
its own, over the connection and with the threads of its real queues. A canary that comes back from there
proves the broker, the consumer, the pool and a thread at once. Where none comes although it could, and where
the loop stands still, the worker gives itself up; whoever keeps it up starts another.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from kombu.entity import Queue
from kombu.utils.uuid import uuid

from common.doorbell import BROKER_AWAY
from worker.loop_thread import LoopThread
from worker.silence import Silence
from worker.threads import Threads

CANARY = "canary"
# Canaries that may fail to come back before the worker gives itself up, and before it says that it is in doubt.
CANARIES_A_PATIENCE = 6
CANARIES_A_DOUBT = 2
# What a killed worker leaves in its queue, the broker clears away.
QUEUE_EXPIRES_SECONDS = 60.0
JOIN_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Canary:
    """Sends a canary every few seconds and waits for it, on a thread of its own: the loop is watched too.

    `on_change` is called whenever `is_proved` may have changed; `give_up` at most once, with the reason.
    """

    def __init__(
        self,
        app: Celery,
        name: str,
        threads: Threads,
        loop_thread: LoopThread,
        patience_seconds: float,
        *,
        on_change: Callable[[], None],
        give_up: Callable[[str], None],
    ) -> None:
        self._app = app
        # Celery publishes by the queue's name, past all exchanges. Declared by Celery, it would be bound to one
        # all the same, and the binding would stay for ever.
        self.queue: Any = Queue(f"{CANARY}.{name}", no_declare=True, expires=QUEUE_EXPIRES_SECONDS)  # type: ignore[no-untyped-call]  # kombu is half typed
        self._threads = threads
        self._loop = loop_thread.loop
        self._patience_seconds = patience_seconds
        self._every_seconds = patience_seconds / CANARIES_A_PATIENCE
        self._on_change = on_change
        self._give_up = give_up
        self._lock = threading.Lock()
        self._silence = Silence()
        self._loop_answered = threading.Event()
        self._loop_silent_seconds = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="canary", daemon=True)
        self.is_proved = False
        self.proved_at: datetime | None = None

    def start(self) -> None:
        """Send the first canary at once. The worker must be about to consume the queue."""
        self._loop_answered.set()
        self._thread.start()

    def came_back(self) -> None:
        """The task's body: this worker consumes."""
        with self._lock:
            self._silence.end()
            self.is_proved = not self._stopping.is_set()
            self.proved_at = datetime.now(UTC)
        self._on_change()

    def stop(self) -> None:
        """No canary any more, and no end of patience: the worker ceases to consume because it was told to."""
        self._stopping.set()
        self.is_proved = False
        self._on_change()

    def join(self) -> None:
        """Wait until nothing is sent any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._stopping.is_set():
            is_broker_there = self._send()
            now = time.monotonic()
            # A process that was frozen woke up just now: what passed meanwhile is nobody's silence.
            elapsed, before = min(now - before, 2 * self._every_seconds), now
            reason = self._judge_consumer(elapsed, is_broker_there) or self._judge_loop(elapsed)
            if reason is not None and not self._stopping.is_set():
                self._give_up(reason)
                return
            self._stopping.wait(self._every_seconds)

    def _send(self) -> bool:
        """Put a canary into the queue unless one waits there; returns whether the broker answered."""
        try:
            with self._app.producer_or_acquire() as producer:
                waiting = self.queue(producer.channel).queue_declare().message_count
                if not waiting:
                    self._put(producer)
        except BROKER_AWAY as error:
            logger.warning("no canary sent, the broker is away: %s", error)
            return False
        except Exception:
            # Without this thread nobody would notice a consumer that stopped; without proof somebody looks.
            logger.exception("no canary sent")
            return False
        return True

    def _put(self, producer: Any) -> None:
        """What `send_task` does, without the event that says so: nobody wants to see canaries in Flower."""
        amqp = self._app.amqp
        message = amqp.create_task_message(uuid(), CANARY, ignore_result=True)
        amqp.send_task_message(producer, CANARY, message, queue=self.queue, retry=False)

    def _judge_consumer(self, elapsed: float, is_broker_there: bool) -> str | None:
        with self._lock:
            self._silence.lengthen(elapsed, is_broker_there=is_broker_there, is_thread_free=self._threads.is_one_free)
            silent = self._silence.seconds
            # What was proved before the broker went is no proof of what reconnects to it.
            is_in_doubt = not is_broker_there or silent > self._every_seconds * CANARIES_A_DOUBT
            has_changed, self.is_proved = self.is_proved and is_in_doubt, self.is_proved and not is_in_doubt
        if has_changed:
            self._on_change()
        if silent < self._patience_seconds:
            return None
        return f"nothing was consumed for {silent:.0f} s, though the broker answers and a thread is free"

    def _judge_loop(self, elapsed: float) -> str | None:
        if self._loop_answered.is_set():
            self._loop_silent_seconds = 0.0
            self._loop_answered.clear()
            self._loop.call_soon_threadsafe(self._loop_answered.set)
            return None
        self._loop_silent_seconds += elapsed
        if self._loop_silent_seconds < self._patience_seconds:
            return None
        return f"the loop has stood still for {self._loop_silent_seconds:.0f} s"
