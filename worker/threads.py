"""Celery's threads: is one of them free?"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Threads:
    """Counts the threads that are at a task, as Celery's own counts may be what is broken."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._at_work: set[int] = set()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The calling thread is at a task, inside."""
        thread = threading.get_ident()
        self._at_work.add(thread)
        try:
            yield
        finally:
            self._at_work.discard(thread)

    @property
    def is_one_free(self) -> bool:
        """Whether one more message could be taken."""
        return len(self._at_work) < self.count
