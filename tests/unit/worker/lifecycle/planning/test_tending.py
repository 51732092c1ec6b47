"""The next step of one container, as the tree decides it: what a whole fleet seldom shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.catalog.local import GIB, MIB
from common.fleet.contracts import Desired, Fault, Instance, Observed, Reservation, RunnerHealth, State
from worker.lifecycle.planning.effects import Drain, Effect, Fail, Kill, Probe, Remember, Remind, Remove, Show, Start
from worker.lifecycle.planning.policy import Policy
from worker.lifecycle.planning.tending import PEAK_STEP_BYTES, Moment, tend

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROW = Desired("a", "spec", is_wanted=True, wanted_at=NOW, memory_bytes=GIB, generation=4, state=State.READY)
READY = RunnerHealth(status="ready", idle_seconds=1)
RUNNING = Instance(
    "c1", "a", 4, "spec", "here", Reservation(GIB), "running", NOW - SECOND, NOW - SECOND, READY, proved_at=NOW
)
ENDED = replace(RUNNING, status="exited", health=None)


def steps(row: Desired, instance: Instance, *, gpus: tuple[str, ...] = ()) -> list[Effect]:
    return tend(row, instance, Moment(NOW, Observed(NOW, NOW), gpus, Policy()))


def test_a_ready_one_is_let_be() -> None:
    assert steps(ROW, RUNNING) == []


def test_one_that_ended_without_a_word_has_crashed() -> None:
    [counted, removed] = steps(ROW, ENDED)
    assert isinstance(counted, Fail)
    assert counted.fault == Fault("crashed", "The container ended by itself.")
    assert removed == Remove("a", "c1")


@pytest.mark.parametrize(
    ("row", "instance"),
    [
        (ROW, replace(ENDED, stop_reason="Idle for 60 s.")),
        (replace(ROW, failed_generation=4), ENDED),
        (replace(ROW, is_wanted=False), ENDED),
    ],
    ids=["we had it end", "it is counted already", "nobody wants it"],
)
def test_an_end_that_is_no_new_failure_is_not_counted(row: Desired, instance: Instance) -> None:
    assert steps(row, instance) == [Remove("a", "c1")]


def test_one_that_was_never_started_has_nothing_to_drain() -> None:
    created = replace(RUNNING, status="created", started_at=None, health=None, proved_at=None)
    assert steps(ROW, created) == [Start("a", "c1"), Show("a", State.STARTING)]
    assert steps(replace(ROW, is_wanted=False), created) == [Remove("a", "c1")]
    assert steps(ROW, replace(created, stop_by=NOW + SECOND)) == [Remove("a", "c1")]


def test_its_time_to_leave_is_over_at_the_moment_that_was_said() -> None:
    leaving = replace(RUNNING, stop_by=NOW, stop_reason="Idle.", health=None)
    assert steps(ROW, leaving) == [Kill("a", "c1", "Idle.")]
    assert steps(ROW, replace(leaving, stop_by=NOW + SECOND)) == [Show("a", State.DRAINING, "Idle.")]


def test_one_that_says_nothing_yet_is_not_probed() -> None:
    loading = replace(RUNNING, proved_at=None)
    shown = Show("a", State.STARTING)
    assert steps(ROW, replace(loading, health=None)) == [shown]
    assert steps(ROW, replace(loading, health=RunnerHealth(status="loading"))) == [shown]
    assert steps(ROW, loading) == [Probe("a", "c1"), shown]


def test_a_runner_that_says_it_has_failed_is_given_up_in_its_own_words() -> None:
    said = replace(RUNNING, health=RunnerHealth(status="failed", error="No CUDA."))
    [counted, killed] = steps(ROW, said)
    assert isinstance(counted, Fail)
    assert counted.fault == Fault("runner_failed", "No CUDA.")
    assert killed == Kill("a", "c1", "runner_failed")


def test_a_runner_that_somebody_else_told_to_stop_is_shown_draining() -> None:
    told = replace(RUNNING, health=RunnerHealth(status="draining"))
    assert steps(ROW, told) == [Show("a", State.DRAINING, "Somebody else told it to stop.")]


def test_what_it_takes_of_its_gpus_is_remembered_once_it_is_worth_a_write() -> None:
    def taking(size: int) -> Instance:
        health = RunnerHealth(status="ready", idle_seconds=1, gpu_memory_bytes=size)
        return replace(RUNNING, reserved=Reservation(GIB, GIB, ("x",)), health=health)

    known = replace(ROW, seen_bytes=2 * GIB)
    assert PEAK_STEP_BYTES == 64 * MIB
    assert steps(known, taking(2 * GIB + 64 * MIB), gpus=("x",)) == []
    assert steps(known, taking(2 * GIB + 65 * MIB), gpus=("x",)) == [Remember("a", 2 * GIB + 65 * MIB)]


def test_a_failure_is_forgotten_once_it_has_been_ready_for_long_enough() -> None:
    failed = replace(ROW, failures=2, ttl_seconds=None)
    long_ready = replace(RUNNING, proved_at=NOW - timedelta(seconds=Policy().healthy_seconds))
    assert steps(failed, replace(long_ready, proved_at=NOW - timedelta(seconds=Policy().healthy_seconds - 1))) == []
    assert [type(step).__name__ for step in steps(failed, long_ready)] == ["Recover"]


def test_only_who_is_ready_and_idle_is_told_again_to_leave() -> None:
    leaving = replace(RUNNING, stop_by=NOW + SECOND, stop_reason="Idle.")
    shown = Show("a", State.DRAINING, "Idle.")
    assert steps(ROW, leaving) == [Remind("a", "c1"), shown]
    assert steps(ROW, replace(leaving, health=READY.model_copy(update={"in_flight": 1}))) == [shown]
    assert steps(ROW, replace(leaving, health=READY.model_copy(update={"status": "draining"}))) == [shown]


def test_of_one_that_failed_its_failure_stays_shown_while_it_leaves() -> None:
    leaving = replace(RUNNING, stop_by=NOW + SECOND, stop_reason="silent", health=None)
    assert steps(replace(ROW, state=State.QUEUED, failed_generation=4), leaving) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (replace(ROW, spec=None), "The catalog has no such model any more."),
        (replace(ROW, spec="other"), "Its entry in the catalog changed."),
        (replace(ROW, is_wanted=False), "Stopped."),
        (replace(ROW, is_wanted=False, reason="Idle for 60 s."), "Idle for 60 s."),
    ],
)
def test_one_that_should_not_run_is_drained_and_says_why(row: Desired, reason: str) -> None:
    stop_by = NOW + timedelta(seconds=row.drain_seconds)
    assert steps(row, RUNNING) == [Drain("a", "c1", stop_by, reason), Show("a", State.DRAINING, reason)]


def test_a_forced_stop_drains_nothing() -> None:
    row = replace(ROW, is_wanted=False, is_forced=True)
    assert steps(row, RUNNING) == [Kill("a", "c1", "Stopped."), Show("a", State.DRAINING, "Stopped.")]


def test_what_its_probe_found_wrong_is_why_it_is_given_up() -> None:
    [counted, killed] = steps(ROW, replace(RUNNING, proved_at=None, fault=Fault("bad_answer", "It says nothing.")))
    assert isinstance(counted, Fail)
    assert (counted.fault.code, killed) == ("bad_answer", Kill("a", "c1", "bad_answer"))


def test_its_time_to_load_begins_when_it_is_started() -> None:
    created = NOW - timedelta(seconds=ROW.load_seconds)
    loading = replace(RUNNING, created_at=created, health=None, proved_at=None)
    assert steps(ROW, loading) == [Show("a", State.STARTING)]
    assert isinstance(steps(ROW, replace(loading, started_at=created))[0], Fail)
