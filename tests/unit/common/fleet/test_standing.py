from dataclasses import replace
from datetime import timedelta

from common.fleet.contracts import Fault, State
from common.fleet.standing import Standing
from tests.unit.common.fleet.scripted_rows import NOON, local_model

LATER = NOON + timedelta(seconds=1)
WANTED = Standing("local-a", State.QUEUED, is_wanted=True, wanted_at=NOON)


def test_a_model_on_its_way_is_no_answer_yet() -> None:
    for state in (State.QUEUED, State.PULLING, State.STARTING, State.DRAINING):
        assert replace(WANTED, state=state).answer_to(NOON) is None


def test_a_failure_that_is_tried_again_is_no_answer_yet() -> None:
    assert replace(WANTED, failed_at=LATER, fault=Fault("crashed", "It ended.")).answer_to(NOON) is None


def test_a_failure_answers_those_who_asked_before_it() -> None:
    failed = replace(WANTED, state=State.FAILED, failed_at=LATER, fault=Fault("bad_dtype", "No such dtype."))
    assert failed.answer_to(NOON) == Fault("bad_dtype", "No such dtype.")
    assert failed.answer_to(LATER) is None


def test_a_failure_without_a_fault_is_told_by_its_reason() -> None:
    failed = replace(WANTED, state=State.FAILED, failed_at=LATER, reason="Nobody knows.")
    assert failed.answer_to(NOON) == Fault("failed", "Nobody knows.")


def test_a_model_that_nobody_wants_any_more_is_an_answer() -> None:
    stopped = replace(WANTED, is_wanted=False).answer_to(NOON)
    assert stopped is not None
    assert stopped.code == "stopped"


def test_what_a_container_s_environment_holds_is_shown_by_no_log() -> None:
    assert "hf_secret" not in repr(local_model(environment={"HF_TOKEN": "hf_secret"}))
