"""The Celery tasks: doorbells, nothing else."""

from typing import Any

from common.doorbell import ADVANCE, RUN_CALL
from worker.app import BatchingCelery
from worker.canary import CANARY
from worker.dispatch import send_rounds
from worker.runtime import Runtime


def register(app: BatchingCelery, runtime: Runtime) -> None:
    """Give the app its tasks, bound to this process's runtime."""
    threads = runtime.threads

    @app.task(name=RUN_CALL, bind=True)  # type: ignore[untyped-decorator]  # celery is untyped
    def run_call(self: Any, call_id: str) -> bool:
        """Run one call; safe to deliver twice. Returns whether it completed its round: the chord's body then fires.

        Never raises. A call that is alone, in its round or because the sweep rang for it, has no chord, and its job
        is advanced here.
        """
        with threads.at_work():
            job_id = runtime.run_call(call_id)
            if job_id is not None and self.request.chord is None:
                send_rounds(app, runtime.advance([job_id]))
        return job_id is not None

    @app.task(name=ADVANCE)  # type: ignore[untyped-decorator]
    def advance(job_ids: list[str]) -> None:
        """Advance jobs by a step each; safe to deliver twice, and at any time."""
        with threads.at_work():
            send_rounds(app, runtime.advance(job_ids))

    # Flower need not see a task of no interest every few seconds.
    @app.task(name=CANARY, send_events=False)  # type: ignore[untyped-decorator]
    def canary() -> None:
        """Prove that this process consumes."""
        runtime.canary.came_back()
