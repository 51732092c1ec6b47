"""The checker, on histories made by hand: a whole one passes, and each way to break a promise is noticed."""

import math
from dataclasses import replace

import pytest

from tests.faults import checker
from tests.faults.history import Call, CallStep, Fault, History, Job, JobStep, Reading, Refusal, Write

CALL = Call("c1", "j1", 0, 0, "m", "completed", 2, None, "m", 10.0, 30.0)


def whole() -> History:
    """One job of one call, whose first worker died at 12 s and whose second one answered."""
    return History(
        faults=[Fault("kill", 12.0, "w1")],
        acknowledged={"j1": 9.1},
        readings=[Reading("j1", [("1-0", "job.status", None), ("2-0", "job.finished", None)])],
        jobs={"j1": Job("j1", "completed", 1, 1, 9.0, 31.0)},
        calls={"c1": CALL},
        call_steps=[
            CallStep(9.5, "c1", None, "queued", 0, 0, None),
            CallStep(10.0, "c1", "queued", "running", 0, 1, "w1"),
            CallStep(25.0, "c1", "running", "queued", 1, 1, None),
            CallStep(26.0, "c1", "queued", "running", 1, 2, "w2"),
            CallStep(30.0, "c1", "running", "completed", 2, 2, "w2"),
        ],
        job_steps=[
            JobStep(9.0, "j1", None, "queued", 0, 0),
            JobStep(9.5, "j1", "queued", "running", 0, 1),
            JobStep(31.0, "j1", "running", "completed", 1, 1),
        ],
        writes=[Write(30.0, "c1", 2, accepted=True), Write(40.0, "c1", 1, accepted=False)],
        streams={"j1": ["1-0", "2-0"]},
        requests=2,
        questions=1,
    )


def names(history: History) -> set[str]:
    return {said.split(":")[0] for said in checker.violations(history)}


def test_a_whole_history_passes() -> None:
    assert checker.violations(whole(), checker.everything_completed) == []


def test_an_acknowledged_job_that_is_not_there_is_lost() -> None:
    history = whole()
    history.acknowledged["j2"] = 9.0
    assert names(history) == {"acknowledged_jobs_end"}


def test_a_job_that_hangs_is_noticed_whether_its_client_was_told_or_not() -> None:
    history = whole()
    history.jobs["j1"] = replace(history.jobs["j1"], status="running")
    assert names(history) == {"acknowledged_jobs_end"}
    history.acknowledged.clear()
    assert names(history) == {"stored_jobs_end"}


def test_a_second_result_of_a_call_is_noticed() -> None:
    history = whole()
    history.call_steps = [*history.call_steps, CallStep(41.0, "c1", "completed", "completed", 2, 2, "w1")]
    assert names(history) == {"calls_end_once"}


def test_a_call_without_a_result_is_noticed() -> None:
    history = whole()
    history.call_steps = history.call_steps[:-1]
    history.calls["c1"] = replace(CALL, status="running")
    assert names(history) == {"calls_end_once"}


@pytest.mark.parametrize("attempt", [0, 3])
def test_a_token_that_shrinks_or_jumps_is_noticed(attempt: int) -> None:
    history = whole()
    steps = list(history.call_steps)
    steps[3] = replace(steps[3], attempt_after=attempt)
    history.call_steps = steps
    assert "attempts_only_grow" in names(history)


def test_a_write_under_an_old_token_is_noticed() -> None:
    history = whole()
    history.writes = [Write(30.0, "c1", 1, accepted=True)]
    assert names(history) == {"no_stale_write"}


def test_two_workers_that_both_think_they_recorded_a_call_are_noticed() -> None:
    history = whole()
    history.writes = [Write(30.0, "c1", 2, accepted=True), Write(30.0, "c1", 2, accepted=True)]
    assert names(history) == {"no_stale_write"}


def test_a_round_opened_twice_is_noticed() -> None:
    history = whole()
    history.job_steps = [*history.job_steps, JobStep(9.6, "j1", "running", "running", 0, 1)]
    assert names(history) == {"rounds_have_one_successor"}


def test_a_call_too_many_in_a_round_is_noticed() -> None:
    history = whole()
    history.calls["c2"] = replace(CALL, id="c2", position=1)
    history.call_steps = [*history.call_steps, CallStep(30.0, "c2", "running", "completed", 2, 2, "w2")]
    assert names(history) == {"rounds_are_whole"}


def test_a_message_sent_before_its_job_was_stored_is_noticed() -> None:
    history = whole()
    history.unknown_jobs = ["j1"]
    assert names(history) == {"messages_name_stored_jobs"}


def test_requests_that_no_attempt_tells_of_are_noticed() -> None:
    history = whole()
    history.requests = 3
    assert names(history) == {"requests_are_accounted"}


@pytest.mark.parametrize(
    "refusal", [Refusal(1.0, 500, has_retry_after=True), Refusal(1.0, 503, has_retry_after=False)], ids=["500", "bare"]
)
def test_an_unclear_refusal_is_noticed(refusal: Refusal) -> None:
    history = whole()
    history.refusals = [refusal, Refusal(1.0, 0, has_retry_after=False), Refusal(1.0, 429, has_retry_after=True)]
    assert names(history) == {"refusals_are_clear"}


@pytest.mark.parametrize(
    "events",
    [
        [("1-0", "job.status", None)],
        [("2-0", "job.finished", None)],
        [("1-0", "job.status", None), ("1-0", "job.status", None), ("2-0", "job.finished", None)],
        [],
    ],
    ids=["no end", "a gap", "one twice", "nothing"],
)
def test_what_a_reader_missed_is_noticed(events: list[tuple[str, str, str | None]]) -> None:
    history = whole()
    history.readings = [Reading("j1", events, resumptions=1)]
    assert names(history) == {"readers_saw_everything"}


def test_a_rescue_is_timed_from_the_death_to_the_next_claim() -> None:
    assert checker.rescues(whole()) == [14.0]
    history = whole()
    history.call_steps = history.call_steps[:3]
    assert checker.rescues(history) == [math.inf]


def test_a_worker_that_held_nothing_needs_no_rescue() -> None:
    history = whole()
    history.faults = [Fault("kill", 12.0, "w2"), Fault("kill", 27.0, "w1")]
    assert checker.rescues(history) == []


def test_work_has_resumed_when_a_job_submitted_after_the_fault_is_at_work() -> None:
    history = whole()
    history.faults = [Fault("postgres", 2.0, over_at=8.0), Fault("postgres", 20.0, over_at=22.0)]
    assert checker.resumptions(history) == [2.0, math.inf]
