"""The canary over a broker in memory, whose queue somebody consumes or nobody does."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from celery import Celery

from worker.canary import Canary
from worker.loop_thread import LoopThread
from worker.silence import LONGEST_PAUSE_SECONDS, Silence
from worker.threads import Threads

PATIENCE_SECONDS = 0.5
# Several times the patience: who gives up has done so by then.
A_WHILE_SECONDS = 1.75
# Only a failure waits this long.
LONG_SECONDS = 20


@dataclass
class Heard:
    """What a canary said."""

    gave_up: threading.Event = field(default_factory=threading.Event)
    reason: str = ""
    changed: threading.Event = field(default_factory=threading.Event)

    def note(self, reason: str) -> None:
        self.reason = reason
        self.gave_up.set()


@contextmanager
def a_canary(threads: Threads, loop_thread: LoopThread, broker: str = "memory://") -> Iterator[tuple[Canary, Heard]]:
    """A canary that is sent, by a worker that is past its start."""
    app = Celery("test", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    heard = Heard()
    canary = Canary(
        app,
        f"me-{time.monotonic_ns()}",
        threads,
        loop_thread,
        PATIENCE_SECONDS,
        on_change=heard.changed.set,
        give_up=heard.note,
    )
    canary.came_back()
    heard.changed.clear()
    canary.start()
    try:
        yield canary, heard
    finally:
        canary.join()
        app.close()


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    one = LoopThread()
    one.start()
    yield one
    one.stop()


def test_a_worker_that_takes_nothing_gives_itself_up(loop_thread: LoopThread) -> None:
    with a_canary(Threads(2), loop_thread) as (canary, heard):
        assert heard.gave_up.wait(LONG_SECONDS)
    assert "nothing was consumed" in heard.reason
    assert not canary.is_proved


def test_a_worker_whose_canaries_come_back_is_left_alone(loop_thread: LoopThread) -> None:
    with a_canary(Threads(2), loop_thread) as (canary, heard):
        ends = time.monotonic() + A_WHILE_SECONDS
        while time.monotonic() < ends:
            canary.came_back()
            time.sleep(PATIENCE_SECONDS / 30)
        assert canary.is_proved
        assert not heard.gave_up.is_set()


def test_a_worker_without_a_free_thread_is_left_alone_and_believed(loop_thread: LoopThread) -> None:
    threads = Threads(1)
    with threads.at_work(), a_canary(threads, loop_thread) as (canary, heard):
        assert not heard.gave_up.wait(A_WHILE_SECONDS)
        assert canary.is_proved


def test_a_worker_whose_broker_is_away_is_left_alone_but_not_believed(loop_thread: LoopThread) -> None:
    with a_canary(Threads(2), loop_thread, "redis://127.0.0.1:1/0") as (canary, heard):
        assert heard.changed.wait(LONG_SECONDS)
        assert not canary.is_proved
        assert not heard.gave_up.wait(A_WHILE_SECONDS)


def test_a_loop_that_stands_still_ends_the_worker_though_no_thread_is_free(loop_thread: LoopThread) -> None:
    threads, release = Threads(1), threading.Event()
    loop_thread.loop.call_soon_threadsafe(release.wait, LONG_SECONDS)
    with threads.at_work(), a_canary(threads, loop_thread) as (_, heard):
        assert heard.gave_up.wait(LONG_SECONDS)
    release.set()
    assert "the loop has stood still" in heard.reason


def test_a_worker_that_was_told_to_stop_neither_gives_up_nor_is_counted_on(loop_thread: LoopThread) -> None:
    with a_canary(Threads(2), loop_thread) as (canary, heard):
        canary.stop()
        canary.came_back()  # one was still on the way
        assert not canary.is_proved
        assert not heard.gave_up.wait(A_WHILE_SECONDS)


def test_one_canary_waits_at_a_time(loop_thread: LoopThread) -> None:
    threads = Threads(1)
    with threads.at_work(), a_canary(threads, loop_thread) as (canary, heard):
        assert not heard.gave_up.wait(A_WHILE_SECONDS)
        with canary._app.connection_for_write() as connection:
            assert canary.queue(connection.default_channel).queue_declare().message_count == 1


def test_silence_counts_only_where_the_consumer_alone_can_be_to_blame() -> None:
    silence = Silence(0.0)
    silence.lengthen(5, is_broker_there=True, is_thread_free=True)
    silence.lengthen(5, is_broker_there=True, is_thread_free=True)
    assert silence.seconds == 10
    silence.lengthen(5, is_broker_there=True, is_thread_free=False)
    assert silence.seconds == 0


def test_a_broker_that_was_away_is_given_as_long_again_up_to_celerys_longest_pause() -> None:
    silence = Silence(20.0)
    for _ in range(3):
        silence.lengthen(2, is_broker_there=False, is_thread_free=True)
    assert silence.seconds == -6
    silence.lengthen(3600, is_broker_there=False, is_thread_free=False)
    assert silence.seconds == -LONGEST_PAUSE_SECONDS
    silence.lengthen(LONGEST_PAUSE_SECONDS, is_broker_there=True, is_thread_free=True)
    assert silence.seconds == 0


def test_a_canary_that_comes_back_ends_the_silence() -> None:
    silence = Silence()
    assert silence.seconds == -LONGEST_PAUSE_SECONDS
    silence.end()
    assert silence.seconds == 0


def test_a_thread_is_at_work_until_its_task_has_ended_however_it_ends() -> None:
    threads = Threads(1)

    def fail_at_work() -> None:
        with threads.at_work():
            assert not threads.is_one_free
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_at_work()
    assert threads.is_one_free
