"""Which rows are computed together: the loop of the one thread that may touch the model."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

from runner.engines.pretrained.row import Row
from runner.faults import EngineBroken, NoMemory

Result = TypeVar("Result")
# Without a single step in between that worked, nobody will bring memory.
FRUITLESS_TRIES = 3


class Forward(Protocol):
    """The model: a batch of rows, and one token for each of them a step."""

    @property
    def takes_newcomers(self) -> bool:
        """Whether rows may be added to those that are there."""
        ...

    def add(self, rows: Sequence[Row]) -> list[int]:
        """Read the prompts of these rows; returns the first token of each.

        Raises:
            MemoryError: there is none for them; the rows that were there are as before.
        """
        ...

    def step(self) -> list[int]:
        """The next token of each row, in the order they were added.

        Raises:
            MemoryError: there is none to go on with.
        """
        ...

    def keep(self, indexes: Sequence[int]) -> None:
        """Forget all rows but these."""
        ...


class Batcher:
    """Continuous batching: whoever waits joins at the next step, whoever is done leaves at once."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._inbox: queue.SimpleQueue[Row | Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: list[Row] = []
        self._rows: list[Row] = []
        self._fruitless = 0
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self.broken: Future[str] = Future()
        """Why it can never go on."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end after the step it is in."""
        self._inbox.put(None)

    def add(self, row: Row) -> None:
        """Have this row answered."""
        self._inbox.put(row)

    def between(self, work: Callable[[], Result]) -> "Future[Result]":
        """Have this done in the same thread, between two steps."""
        future: Future[Result] = Future()

        def do() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:  # noqa: BLE001  # whoever waits for the result gets it
                    future.set_exception(error)

        self._inbox.put(do)
        return future

    def _run(self) -> None:
        try:
            while self._read_inbox():
                self._join()
                self._step()
        except Exception as error:  # noqa: BLE001  # a model that failed so may have lost its GPU: start afresh
            why = f"{type(error).__name__}: {error}"
            for row in (*self._rows, *self._waiting):
                row.fail(EngineBroken(f"The model failed: {why}"))
            self.broken.set_result(f"The model failed while it generated: {why}")

    def _read_inbox(self) -> bool:
        """Take what has come, waiting only if there is nothing else to do. False when it is time to end.

        What comes meanwhile is for the next time: else work without an end would stop the answers.
        """
        try:
            items = [self._inbox.get(block=not (self._rows or self._waiting))]
        except queue.Empty:
            return True
        items += [self._inbox.get() for _ in range(self._inbox.qsize())]
        for item in items:
            if item is None:
                return False
            if isinstance(item, Row):
                self._waiting.append(item)
            else:
                item()
        return True

    def _join(self) -> None:
        newcomers = self._waiting = [row for row in self._waiting if not row.is_over]
        if not newcomers or (self._rows and not self._forward.takes_newcomers):
            return
        try:
            tokens = self._forward.add(newcomers)
        except MemoryError as error:
            self._waiting = []
            self._no_memory(newcomers, error)
            return
        self._waiting = []
        self._rows += newcomers
        self._give(self._rows[-len(newcomers) :], tokens)

    def _step(self) -> None:
        if not self._rows:
            return
        try:
            tokens = self._forward.step()
        except MemoryError as error:
            rows, self._rows = self._rows, []
            self._forward.keep([])
            self._no_memory(rows, error)
            return
        self._fruitless = 0
        self._give(self._rows, tokens)

    def _give(self, rows: Sequence[Row], tokens: Sequence[int]) -> None:
        for row, token in zip(rows, tokens, strict=True):
            if not row.is_over:
                row.take(token)
        left = [index for index, row in enumerate(self._rows) if not row.is_over]
        if len(left) < len(self._rows):
            self._forward.keep(left)
            self._rows = [self._rows[index] for index in left]

    def _no_memory(self, rows: Sequence[Row], error: MemoryError) -> None:
        self._fruitless += 1
        for row in rows:
            row.fail(NoMemory())
        if self._fruitless >= FRUITLESS_TRIES:
            raise RuntimeError(f"out of memory {self._fruitless} times in a row") from error
