"""Starting a worker process."""

import logging
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from celery import signals
from celery.worker import state

from common.logs import configure_logging
from common.settings import Settings
from worker.app import BatchingCelery, create_app
from worker.canary import Canary
from worker.kinds import Kind
from worker.runtime import Runtime
from worker.tasks import register
from worker.threads import Threads

# Accepting and showing work comes before doing it: on a machine they share, an API beside busy workers still
# answers. Half the weight of an ordinary process, for the kernel's scheduler.
NICENESS = 3


class Serving(Protocol):
    """What a worker process runs beside Celery's consumer."""

    canary: Canary

    def start(self) -> None:
        """Called before the first message."""
        ...

    def drain(self) -> None:
        """Called when the process is told to stop; no message comes any more."""
        ...

    def close(self) -> None:
        """Called when no task runs any more."""
        ...


def run_worker(settings: Settings, kind: Kind, *, threads: int | None = None, name: str | None = None) -> int:
    """Run a worker until it is told to stop; returns its exit code.

    SIGTERM and SIGINT stop it softly: it takes no more work, lets calls finish within the drain time,
    and puts the others back into the queue.
    """
    configure_logging(settings)
    os.nice(NICENESS)
    hostname = process_name(kind, name)
    app = create_app(settings)
    count = threads or kind.threads
    runtime = Runtime(settings, kind, hostname, app, Threads(count))
    register(app, runtime)
    return consume(app, runtime, kind.queues, hostname, ["--pool=threads", f"--concurrency={count}"])


def process_name(kind: Kind, node: str | None) -> str:
    """What Celery and `/health` call this process."""
    return f"{kind.name}.{os.getpid()}@{node or socket.gethostname()}"


def consume(app: BatchingCelery, runtime: Serving, queues: Sequence[str], hostname: str, pool: Sequence[str]) -> int:
    """Consume the queues until the process is told to stop; returns its exit code."""

    def stop_early(*_: Any) -> None:
        state.should_stop = os.EX_OK  # which Celery looks at before it takes a message
        runtime.drain()

    # Celery takes a second until it has handlers of its own, and what `start` begins is at work by then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_early)
    runtime.start()

    # weak: the signals would lose a closure that nothing else holds
    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def begin_drain(**_: Any) -> None:
        runtime.drain()

    @signals.celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
    def consume_own_queue(**_: Any) -> None:
        app.amqp.queues.select_add(runtime.canary.queue)
        runtime.canary.start()

    arguments = [
        "--quiet",
        "worker",
        *pool,
        f"--queues={','.join(queues)}",
        f"--hostname={hostname}",
        f"--loglevel={logging.getLevelName(logging.getLogger().level)}",
        "--without-gossip",
        "--without-mingle",
    ]
    try:
        return int(app.worker_main(arguments) or 0)
    finally:
        runtime.close()
