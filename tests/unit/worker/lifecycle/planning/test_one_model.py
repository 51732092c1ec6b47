"""The life of one model on one node."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.catalog.local import GIB
from common.fleet.contracts import Fault, State
from tests.unit.worker.lifecycle.planning.scripted_fleet import Machine, ScriptedFleet, model
from worker.lifecycle.planning import effects as told


def fleet(memory: int = GIB, **fields: object) -> ScriptedFleet:
    return ScriptedFleet(Machine("here", 4 * GIB), models=[model("a", memory, **fields)])


def kinds(fleet: ScriptedFleet) -> list[str]:
    return [type(effect).__name__ for effect in fleet.log if not isinstance(effect, told.Show)]


def states(fleet: ScriptedFleet) -> list[State]:
    return [effect.state for effect in fleet.log if isinstance(effect, told.Show)]


def test_a_model_that_is_asked_for_is_claimed_made_started_proved_and_answers() -> None:
    one = fleet()
    call = one.ask("a")
    one.advance(5)
    assert kinds(one) == ["Claim", "Create", "Start", "Probe"]
    assert states(one) == [State.STARTING, State.READY]
    assert call.outcome == "answered"


def test_fifty_who_ask_at_once_start_one_container() -> None:
    one = fleet()
    calls = [one.ask("a") for _ in range(50)]
    one.advance(10)
    assert kinds(one).count("Create") == 1
    assert {call.outcome for call in calls} == {"answered"}


def test_nothing_is_done_for_a_model_that_nobody_asked_for() -> None:
    one = fleet()
    one.advance(10)
    assert one.log == []


def test_what_is_not_here_is_pulled_first() -> None:
    one = fleet()
    one.present = set()
    one.ask("a")
    one.advance(2)
    assert kinds(one) == ["Claim", "Pull"]
    assert one.state_of("a") is State.PULLING
    one.present, one.pulls = {"a"}, {}
    one.advance(5)
    assert one.state_of("a") is State.READY


def test_a_pull_that_fails_is_tried_again_and_then_given_up_with_its_reason() -> None:
    one = fleet()
    one.present = set()
    call = one.ask("a")
    for _ in range(3):
        one.advance(0)
        one.pulls = {"a": Fault("pull_failed", "The registry is away.")}
        one.advance(5)
    assert (kinds(one).count("Pull"), kinds(one).count("Fail")) == (3, 3)
    assert call.outcome == "refused: The registry is away."


def test_idle_time_counts_from_the_end_of_the_last_call() -> None:
    one = fleet(ttl_seconds=60)
    one.ask("a", seconds=300)
    one.advance(302)
    assert one.state_of("a") is State.READY
    ended = one.now
    one.advance(59)
    assert one.state_of("a") is State.READY
    one.advance(2)
    assert one.state_of("a") is State.STOPPED
    assert one.reason_of("a") == "Idle for 60 s."
    assert one.now - ended >= timedelta(seconds=60)
    assert one.containers == {}


def test_asking_for_a_ready_model_keeps_it() -> None:
    one = fleet(ttl_seconds=60)
    one.ask("a")
    one.advance(50)
    one.change("a", wanted_at=one.now)
    one.advance(59)
    assert one.state_of("a") is State.READY
    one.advance(2)
    assert one.state_of("a") is State.STOPPED


@pytest.mark.parametrize("fields", [{"is_pinned": True}, {"ttl_seconds": None}])
def test_a_model_that_is_pinned_or_has_no_ttl_stays(fields: dict[str, object]) -> None:
    one = fleet(**fields)
    one.ask("a")
    one.advance(10)
    one.advance(86_400, step=600)
    assert one.state_of("a") is State.READY


def test_stopping_lets_calls_in_flight_end() -> None:
    one = fleet(drain_seconds=30)
    call = one.ask("a", seconds=20)
    one.advance(5)
    one.stop("a")
    one.advance(10)
    assert one.state_of("a") is State.DRAINING
    one.advance(10)
    assert (call.outcome, one.state_of("a"), one.containers) == ("answered", State.STOPPED, {})


def test_stopping_kills_what_does_not_end_in_time() -> None:
    one = fleet(drain_seconds=30)
    one.ask("a", seconds=3600)
    one.advance(5)
    one.stop("a")
    one.advance(29)
    assert "Kill" not in kinds(one)
    one.stop("a")  # whoever was served asked again when it was killed: let it stay stopped
    one.advance(2)
    assert kinds(one).count("Kill") == 1


def test_who_was_not_told_to_leave_is_told_when_its_calls_are_over() -> None:
    one = fleet(drain_seconds=600)
    call = one.ask("a", seconds=20)
    one.advance(5)
    one.loses_signals = True
    one.stop("a")
    one.advance(5)
    assert "Remind" not in kinds(one)
    one.loses_signals = False
    one.advance(20)
    assert (call.outcome, one.state_of("a"), one.containers) == ("answered", State.STOPPED, {})
    assert "Kill" not in kinds(one)


def test_a_forced_stop_kills_at_once_even_what_is_draining() -> None:
    one = fleet(drain_seconds=600)
    one.ask("a", seconds=3600)
    one.advance(5)
    one.stop("a")
    one.advance(1)
    one.stop("a", is_forced=True)
    one.turn(one.machines["here"])
    assert kinds(one)[-1] == "Kill"


def test_who_asks_while_it_drains_is_answered_by_the_next_one() -> None:
    one = fleet(drain_seconds=30)
    first = one.ask("a", seconds=20)
    one.advance(5)
    one.stop("a")
    one.advance(1)
    second = one.ask("a")
    one.advance(30)
    assert (first.outcome, second.outcome) == ("answered", "answered")
    assert (one.rows["a"].generation, one.rows["a"].failures) == (2, 0)


def test_who_asks_while_an_idle_model_is_about_to_be_retired_keeps_it() -> None:
    one = fleet(ttl_seconds=10)
    one.ask("a")
    one.advance(11)
    machine = one.machines["here"]
    one.now += timedelta(seconds=10)
    effects = one.plan(machine)
    assert [type(effect).__name__ for effect in effects] == ["Retire", "Drain", "Show"]
    one.change("a", wanted_at=one.now)
    one._carry_out(machine, effects)
    assert one.container_of("a").is_serving


def test_a_crash_is_counted_once_and_it_is_started_again_after_a_second() -> None:
    one = fleet()
    call = one.ask("a", seconds=10)
    one.advance(5)
    one.end(one.container_of("a").instance.container)
    one.advance(0.5)
    assert (one.state_of("a"), one.rows["a"].failures) == (State.QUEUED, 1)
    assert one.reason_of("a").startswith("Ended with 137. It is tried again at")
    one.advance(20)
    assert call.outcome == "answered"
    assert kinds(one).count("Fail") == 1


def test_a_crash_loop_is_told_to_those_who_wait_and_slows_down() -> None:
    one = fleet()
    one.exits_of["a"] = 6
    call = one.ask("a")
    one.advance(30)
    assert call.outcome == "refused: Ended with 6."
    failures = [effect for effect in one.log if isinstance(effect, told.Fail)]
    assert [fail.failures for fail in failures] == [1, 2, 3]
    one.advance(3600)
    assert kinds(one).count("Create") == 3, "nobody asked since"
    one.ask("a")
    one.advance(10)
    assert kinds(one).count("Create") == 4, "asked anew, tried anew"


def test_a_pinned_model_is_tried_again_though_nobody_asks() -> None:
    one = fleet(is_pinned=True)
    one.exits_of["a"] = 6
    one.ask("a")
    one.advance(30)
    assert one.state_of("a") is State.FAILED
    one.exits_of.clear()
    one.advance(60)
    assert one.state_of("a") is State.READY


def test_who_asks_a_model_that_was_given_up_a_moment_ago_is_refused_at_once() -> None:
    one = fleet()
    one.exits_of["a"] = 6
    one.ask("a")
    one.advance(12)
    creates = kinds(one).count("Create")
    call = one.ask("a")
    one.settle()
    assert call.outcome == "refused: Ended with 6."
    assert kinds(one).count("Create") == creates


def test_a_fatal_fault_is_not_tried_again_until_the_entry_changes() -> None:
    one = fleet()
    one.exits_of["a"] = 3
    first = one.ask("a")
    one.advance(600)
    second = one.ask("a")
    one.advance(600)
    refusal = "refused: Ended with 3."
    assert (first.outcome, second.outcome, kinds(one).count("Create")) == (refusal, refusal, 1)
    one.exits_of.clear()
    one.change("a", spec="mended")
    third = one.ask("a")
    one.advance(10)
    assert third.outcome == "answered"


def test_after_a_healthy_while_a_failure_is_a_first_one() -> None:
    one = fleet(ttl_seconds=None)
    one.ask("a")
    for _ in range(4):
        one.advance(70)
        one.end(one.container_of("a").instance.container)
    assert [effect.failures for effect in one.log if isinstance(effect, told.Fail)] == [1, 1, 1]
    one.advance(70)
    assert (one.state_of("a"), one.rows["a"].failures) == (State.READY, 0)


def test_a_load_that_takes_too_long_is_given_up() -> None:
    one = fleet(load_seconds=60)
    one.load_seconds = 1e6
    one.ask("a")
    one.advance(61)
    assert one.rows["a"].fault == Fault("load_timeout", "It was not ready within 60 s.")
    assert kinds(one).count("Kill") == 1


def test_a_ready_runner_that_falls_silent_is_replaced() -> None:
    one = fleet(ttl_seconds=None)
    one.ask("a")
    one.advance(5)
    silent = one.container_of("a")
    silent.is_silent = True
    silent.instance = replace(silent.instance, silent_since=one.now)
    one.advance(19)
    assert one.container_of("a") is silent
    one.advance(10)
    assert one.container_of("a").is_serving
    assert one.rows["a"].generation == 2


def test_a_failure_that_was_counted_but_not_carried_out_is_carried_out_by_the_next() -> None:
    one = fleet()
    one.ask("a")
    one.advance(5)
    one.change("a", failed_generation=1, failures=1, failed_spec="spec", state=State.QUEUED)
    one.advance(10)
    assert (kinds(one).count("Kill"), kinds(one).count("Fail"), one.state_of("a")) == (1, 0, State.READY)


def test_a_container_is_adopted_by_a_worker_that_knows_nothing_of_it() -> None:
    one = fleet(ttl_seconds=None)
    one.ask("a")
    one.advance(5)
    adopted = one.container_of("a")
    adopted.instance = replace(adopted.instance, proved_at=None)  # and its row is lost
    one.log.clear()
    one.advance(5)
    assert kinds(one) == ["Probe"]
    assert one.container_of("a") is adopted


def test_a_changed_entry_replaces_the_container_once_its_calls_have_ended() -> None:
    one = fleet(ttl_seconds=None)
    call = one.ask("a", seconds=10)
    one.advance(5)
    one.change("a", spec="changed")
    one.advance(15)
    assert call.outcome == "answered"
    assert one.container_of("a").instance.spec == "changed"


def test_a_model_that_left_the_catalog_is_stopped() -> None:
    one = fleet()
    one.ask("a")
    one.advance(5)
    one.change("a", spec=None)
    one.advance(5)
    assert (one.containers, one.state_of("a")) == ({}, State.STOPPED)
    assert one.reason_of("a") == "The catalog has no such model any more."


def test_a_container_that_somebody_removed_is_made_again() -> None:
    one = fleet(ttl_seconds=None)
    one.ask("a")
    one.advance(5)
    one.containers.clear()
    one.advance(5)
    assert one.container_of("a").instance.generation == 2
