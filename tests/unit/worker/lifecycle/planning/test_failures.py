"""How a failure is counted, and what it means for the next start."""

from datetime import UTC, datetime, timedelta

import pytest

from common.fleet.contracts import Desired, Fault, Instance, Reservation, State
from worker.lifecycle.planning.effects import Refuse
from worker.lifecycle.planning.failures import Backoff, backoff_seconds, failed, has_asked, standing
from worker.lifecycle.planning.policy import Policy

POLICY = Policy()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CRASHED = Fault("crashed", "It ended.")
MISSING = Fault("model_missing", "It is not there.", is_fatal=True)


def test_the_wait_doubles_with_every_failure_up_to_its_bound() -> None:
    assert [backoff_seconds(failures, POLICY) for failures in range(1, 11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]


def test_the_wait_has_its_bound_after_any_number_of_failures() -> None:
    assert backoff_seconds(1_000_000, POLICY) == 300


@pytest.mark.parametrize(("failures", "state"), [(1, State.QUEUED), (2, State.FAILED)])
def test_the_third_failure_in_a_row_tells_those_who_wait(failures: int, state: State) -> None:
    row = Desired("a", "spec", failures=failures, failed_spec="spec")
    told = failed(row, CRASHED, NOW, POLICY)
    assert (told.failures, told.state) == (failures + 1, state)
    assert told.retry_at == NOW + timedelta(seconds=backoff_seconds(failures + 1, POLICY))


def test_a_fatal_fault_tells_those_who_wait_and_is_not_tried_again() -> None:
    told = failed(Desired("a", "spec"), MISSING, NOW, POLICY)
    assert (told.failures, told.state, told.retry_at) == (1, State.FAILED, None)


def test_a_failure_of_another_spec_is_a_first_one() -> None:
    told = failed(Desired("a", "new", failures=2, failed_spec="old"), CRASHED, NOW, POLICY)
    assert (told.failures, told.spec) == (1, "new")


def test_a_failure_is_counted_against_the_generation_and_the_spec_of_its_instance() -> None:
    instance = Instance("c1", "a", 4, "old", "here", Reservation(1), "exited", NOW)
    told = failed(Desired("a", "new"), CRASHED, NOW, POLICY, instance=instance)
    assert (told.generation, told.spec) == (4, "old")


def test_what_failed_may_start_at_the_moment_that_it_was_told_to_wait_for() -> None:
    row = Desired("a", "spec", failures=1, failed_spec="spec", fault=CRASHED, retry_at=NOW)
    assert isinstance(standing(row, NOW - SECOND, POLICY), Backoff)
    assert standing(row, NOW, POLICY) is None


def test_what_was_given_up_refuses_with_its_reason_where_no_fault_is_known() -> None:
    row = Desired("a", "spec", failures=3, failed_spec="spec", reason="No luck.", retry_at=NOW + SECOND)
    assert standing(row, NOW, POLICY) == Refuse("a", Fault("failed", "No luck."), None)


def test_nobody_waits_for_what_failed_before_anybody_asked() -> None:
    assert not has_asked(Desired("a", "spec", state=State.FAILED, failed_at=NOW))
