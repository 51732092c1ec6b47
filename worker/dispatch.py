"""Publishing: rounds as chords, and rings for what the sweep found."""

import logging
from collections.abc import Iterable, Sequence

from celery import Celery, chord, group

from common.doorbell import ADVANCE, BROKER_AWAY, CONTROL_QUEUE, RUN_CALL, send_advance
from common.lanes import Lane
from worker.app import BatchingCelery
from worker.engine import Round

logger = logging.getLogger(__name__)


def send_rounds(app: BatchingCelery, rounds: Sequence[Round]) -> None:
    """Dispatch committed rounds, each as `chord(group(call.run…), job.advance)`, in one pipeline.

    A round of one call has nothing to fan in, and is a `call.run` alone: whoever runs it advances the job.
    Blocks on the broker; never raises for it: the rows are the outbox, and the sweep rings for them.
    """
    if not rounds:
        return
    try:
        with app.batched():
            for round_ in rounds:
                if len(round_.calls) == 1:
                    _send_call(app, *round_.calls[0], round_.lane)
                else:
                    header = group(_run_call(app, call_id, queue, round_.lane) for call_id, queue in round_.calls)
                    chord(header, _advance(app, round_.job_id, round_.lane), app=app).apply_async()
    except BROKER_AWAY as error:
        logger.warning("broker away, the sweep will ring for %d rounds: %s", len(rounds), error)


def ring(
    app: BatchingCelery,
    *,
    calls: Iterable[tuple[str, str]] = (),
    job_ids: Sequence[str] = (),
    lane: Lane = Lane.FRONT,
) -> None:
    """Ring for single calls, given as `(call_id, queue)`, and for jobs; never raises for the broker."""
    try:
        with app.batched():
            for call_id, queue in calls:
                _send_call(app, call_id, queue, lane)
            send_advance(app, job_ids, lane)
    except BROKER_AWAY as error:
        logger.warning("broker away, the sweep will ring again: %s", error)


def _send_call(app: Celery, call_id: str, queue: str, lane: Lane) -> None:
    app.send_task(RUN_CALL, args=(call_id,), queue=queue, priority=int(lane), ignore_result=True, retry=False)


def _run_call(app: Celery, call_id: str, queue: str, lane: Lane):  # type: ignore[no-untyped-def]  # noqa: ANN202  # celery is untyped
    return app.signature(RUN_CALL, args=(call_id,), immutable=True, queue=queue, priority=int(lane))


def _advance(app: Celery, job_id: str, lane: Lane):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return app.signature(ADVANCE, args=([job_id],), immutable=True, queue=CONTROL_QUEUE, priority=int(lane))
