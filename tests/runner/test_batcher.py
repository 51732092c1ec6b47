"""Who is computed with whom."""

import queue
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from runner.contracts import Piece
from runner.engines.pretrained.batcher import Batcher
from runner.engines.pretrained.row import NO_TOKEN, Choosing, Row
from runner.faults import EngineBroken, NoMemory, Refused

END = 0
# Only a failure waits this long.
PATIENCE_SECONDS = 60


class ScriptedForward:
    """Each row says its prompt's tokens again. A step is taken when the test allows it."""

    def __init__(self, *, takes_newcomers: bool = True) -> None:
        self.takes_newcomers = takes_newcomers
        self.rows: list[list[int]] = []
        self.added: list[int] = []
        self.steps: queue.Queue[Exception | None] = queue.Queue()

    def add(self, rows: Sequence[Row]) -> list[int]:
        self._wait()
        self.added.append(len(rows))
        self.rows += [[*row.prompt, END] for row in rows]
        return [row.pop(0) for row in self.rows[-len(rows) :]]

    def step(self) -> list[int]:
        self._wait()
        return [row.pop(0) for row in self.rows]

    def keep(self, indexes: Sequence[int]) -> None:
        self.rows = [self.rows[index] for index in indexes]

    def _wait(self) -> None:
        if (error := self.steps.get(timeout=PATIENCE_SECONDS)) is not None:
            raise error


class Asked:
    """A row, and what it gave."""

    def __init__(self, prompt: str, *, most_tokens: int = 100, stops: Sequence[str] = ()) -> None:
        self.given: queue.Queue[Piece | Refused] = queue.Queue()
        tokens = list(prompt.encode())
        self.row = Row(
            tokens,
            most_tokens,
            Choosing(),
            ends={END},
            stops=stops,
            decode=lambda tokens: bytes(tokens).decode(),
            give=self.given.put,
        )

    def next(self) -> Piece | Refused:
        return self.given.get(timeout=PATIENCE_SECONDS)

    def text(self) -> str:
        """The answer to its end."""
        text = ""
        while not isinstance(piece := self.next(), Refused) and piece.usage is None:
            text += piece.delta.get("content", "")
        return text


@pytest.fixture
def forward() -> ScriptedForward:
    return ScriptedForward()


@pytest.fixture
def batcher(forward: ScriptedForward) -> Iterator[Batcher]:
    batcher = Batcher(forward)
    batcher.start()
    yield batcher
    batcher.stop()
    go(forward, 20)


def go(forward: ScriptedForward, steps: int = 1, error: Exception | None = None) -> None:
    for _ in range(steps):
        forward.steps.put(error)


def test_who_comes_later_joins_between_two_steps(forward: ScriptedForward, batcher: Batcher) -> None:
    first, second = Asked("abcdef"), Asked("xy")
    batcher.add(first.row)
    go(forward)
    assert first.next() == Piece({"content": "a"})
    batcher.add(second.row)
    go(forward, 20)
    assert second.text() == "xy"
    assert first.text() == "bcdef"
    assert forward.added == [1, 1]
    assert forward.rows == []


def test_who_waits_together_is_read_together(forward: ScriptedForward, batcher: Batcher) -> None:
    first = Asked("a")
    batcher.add(first.row)
    others = [Asked("bcd"), Asked("efg"), Asked("h")]
    for other in others:
        batcher.add(other.row)
    go(forward, 20)
    assert [first.text(), *(other.text() for other in others)] == ["a", "bcd", "efg", "h"]
    assert sum(forward.added) == 4
    assert len(forward.added) <= 2


def test_work_that_never_ends_stops_no_answer(forward: ScriptedForward, batcher: Batcher) -> None:
    """As when several embed many texts at once: while one chunk is computed the next one comes."""
    asked = Asked("abc")

    def work() -> None:
        if not asked.row.is_over:
            batcher.between(work)

    batcher.add(asked.row)
    batcher.between(work)
    go(forward, 20)
    assert asked.text() == "abc"


def test_a_cache_that_cannot_be_joined_is_finished_first() -> None:
    forward = ScriptedForward(takes_newcomers=False)
    batcher = Batcher(forward)
    first, second = Asked("abc"), Asked("xy")
    batcher.add(first.row)
    batcher.start()
    go(forward)
    first.next()
    batcher.add(second.row)
    go(forward, 3)
    assert first.text() == "bc"
    go(forward, 20)
    assert second.text() == "xy"
    batcher.stop()


def test_who_leaves_is_computed_no_further(forward: ScriptedForward, batcher: Batcher) -> None:
    leaving, staying = Asked("abcdefgh"), Asked("xyz")
    batcher.add(leaving.row)
    batcher.add(staying.row)
    go(forward)
    leaving.next()
    leaving.row.leave()
    go(forward, 20)
    assert staying.text() == "xyz"
    assert leaving.given.empty()
    assert forward.rows == []


def test_a_row_ends_at_its_limit_and_says_length(forward: ScriptedForward, batcher: Batcher) -> None:
    asked = Asked("abcdef", most_tokens=2)
    batcher.add(asked.row)
    go(forward, 20)
    pieces = [asked.next() for _ in range(3)]
    assert pieces[1] == Piece({"content": "b"}, finish_reason="length")
    assert isinstance(pieces[2], Piece)
    assert pieces[2].usage is not None
    assert (pieces[2].usage.prompt_tokens, pieces[2].usage.completion_tokens) == (6, 2)


def test_a_row_ends_at_its_stop_and_says_stop(forward: ScriptedForward, batcher: Batcher) -> None:
    asked = Asked("abcdef", stops=["cd"])
    batcher.add(asked.row)
    go(forward, 20)
    pieces: list[Any] = [asked.next() for _ in range(4)]
    assert [piece.delta.get("content") for piece in pieces] == ["a", "b", None, None]
    assert pieces[2].finish_reason == "stop"


def test_work_between_two_steps_is_done_in_the_models_thread(forward: ScriptedForward, batcher: Batcher) -> None:
    asked = Asked("abcdef")
    batcher.add(asked.row)
    go(forward)
    asked.next()
    done = batcher.between(lambda: len(forward.rows))
    go(forward, 20)
    assert done.result(PATIENCE_SECONDS) == 1
    failed = batcher.between(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(PATIENCE_SECONDS)


def test_a_newcomer_without_memory_is_refused_and_the_others_go_on(forward: ScriptedForward, batcher: Batcher) -> None:
    first, second = Asked("abc"), Asked("xyz")
    batcher.add(first.row)
    go(forward)
    first.next()
    batcher.add(second.row)
    go(forward)  # the step that had begun
    first.next()
    forward.steps.put(MemoryError())
    assert isinstance(second.next(), NoMemory)
    go(forward, 20)
    assert first.text() == "c"


def test_a_step_without_memory_fails_its_rows_and_the_next_call_is_answered(
    forward: ScriptedForward, batcher: Batcher
) -> None:
    first = Asked("abc")
    batcher.add(first.row)
    go(forward)
    first.next()
    forward.steps.put(MemoryError())
    assert isinstance(first.next(), NoMemory)
    second = Asked("xy")
    batcher.add(second.row)
    go(forward, 20)
    assert second.text() == "xy"
    assert not batcher.broken.done()


def test_memory_that_never_suffices_breaks_the_engine(forward: ScriptedForward, batcher: Batcher) -> None:
    for _ in range(3):
        asked = Asked("abc")
        batcher.add(asked.row)
        forward.steps.put(MemoryError())
        assert isinstance(asked.next(), NoMemory)
    assert "out of memory" in batcher.broken.result(PATIENCE_SECONDS)


def test_any_other_failure_breaks_the_engine_at_once(forward: ScriptedForward, batcher: Batcher) -> None:
    asked = Asked("abc")
    batcher.add(asked.row)
    forward.steps.put(RuntimeError("CUDA error: device-side assert triggered"))
    assert isinstance(asked.next(), EngineBroken)
    assert "device-side assert" in batcher.broken.result(PATIENCE_SECONDS)


def test_a_row_without_numbers_fails_alone() -> None:
    asked = Asked("abc")
    asked.row.take(NO_TOKEN)
    assert isinstance(asked.next(), EngineBroken)
    assert asked.row.is_over
