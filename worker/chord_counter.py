"""The result backend: it counts chord parts, and keeps no results.

Celery needs a result backend for chords. Its own Redis one subscribes to a channel for every task it
publishes, for somebody who might wait for the result; nobody here ever does, and nothing unsubscribes
for a task whose result is ignored, so a control worker would grow with every round.
"""

from typing import Any

from celery.backends.redis import RedisBackend


class ChordCounter(RedisBackend):  # type: ignore[misc]  # celery is untyped
    """Celery's Redis backend without anybody waiting."""

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """A task is being published: subscribe to nothing."""

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:  # noqa: ARG002
        """A group keeps track of its parts: there is nothing to track."""
        return result

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Store the number of parts; our group ids are new each time, so there is no old count to delete."""
        self._set_chord_key(self.get_key_for_group(group_id, ".s"), chord_size)
