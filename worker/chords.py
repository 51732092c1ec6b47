"""Celery's chords, counted in Postgres.

A chord needs a result backend to know when its last part has ended. Celery's Redis one counts parts there,
a script a part and five round trips a chord, and can be left with a count that never fills: a part that was
delivered twice, a flush, a child killed between its result and its count. Our count is in Postgres already,
in the transaction that records the result, so the backend has nothing to count: the part whose result
was the last of its round fires the body.

Celery's backends also subscribe to a channel for every task they publish, for somebody who might wait for
its result. Nobody here does.
"""

import logging
from typing import Any

from celery.backends.base import Backend
from celery.canvas import maybe_signature

from common.doorbell import BROKER_AWAY

logger = logging.getLogger(__name__)


class PostgresChords(Backend):  # type: ignore[misc]  # celery is untyped
    """A result backend that keeps no results. A header task returns True if its round is complete."""

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """A chord begins: its calls and their number are committed."""

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """The number of parts: see `apply_chord`."""

    def on_chord_part_return(self, request: Any, state: Any, result: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Fire the body after the last part. Never raises for the broker: the sweep would ring for the job."""
        if result is not True:
            return
        try:
            maybe_signature(request.chord, app=self.app).delay()
        except BROKER_AWAY as error:
            logger.warning("broker away, the sweep will advance the job: %s", error)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """A task is being published: nobody will wait for it."""

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:  # noqa: ARG002
        """A group keeps track of its parts: there is nothing to track."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        """See `add_pending_result`."""
        return result
