from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.lifecycle.operations import end_of

ASKED_AT = datetime(2026, 11, 21, tzinfo=UTC)
BEFORE, AFTER = ASKED_AT - timedelta(minutes=1), ASKED_AT + timedelta(minutes=1)
FAULT = {"code": "model_missing", "message": "There is none.", "is_fatal": True}


def row(kind: str, **said: Any) -> dict[str, Any]:
    fields = {
        "kind": kind,
        "created_at": ASKED_AT,
        "model": "local-x",
        "is_wanted": kind == "model_run",
        "node": "node-1",
        "generation": 1,
        "state": "starting",
        "reason": None,
        "fault": None,
        "failed_at": None,
    }
    return fields | said


@pytest.mark.parametrize("state", ["queued", "pulling", "starting", "draining"])
def test_a_run_goes_on_while_its_model_is_on_its_way(state: str) -> None:
    assert end_of(row("model_run", state=state)) is None


def test_a_run_is_over_when_its_model_is_ready() -> None:
    ended = end_of(row("model_run", state="ready"))
    assert ended is not None
    assert (ended.status, ended.error) == ("completed", None)
    assert ended.result == {"model_id": "local-x", "state": "ready", "node": "node-1", "generation": 1}


def test_a_failure_from_before_it_was_asked_for_is_none_of_its_own() -> None:
    assert end_of(row("model_run", state="failed", fault=FAULT, failed_at=BEFORE)) is None
    ended = end_of(row("model_run", state="failed", fault=FAULT, failed_at=AFTER))
    assert ended is not None
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "model_missing")


def test_a_failure_that_is_tried_again_by_itself_ends_nothing() -> None:
    assert end_of(row("model_run", state="queued", fault=FAULT, failed_at=AFTER)) is None


def test_a_run_of_a_model_that_somebody_stops_fails() -> None:
    ended = end_of(row("model_run", is_wanted=False, state="draining", reason="Stopped."))
    assert ended is not None
    assert ended.error is not None
    assert (ended.status, ended.error.code, ended.error.message) == ("failed", "stopped", "Stopped.")


@pytest.mark.parametrize("state", ["stopped", None])
def test_a_stop_is_over_when_the_model_has_stopped_or_never_was(state: str | None) -> None:
    ended = end_of(row("model_stop", state=state))
    assert ended is not None
    assert ended.result is not None
    assert (ended.status, ended.result["state"]) == ("completed", "stopped")


def test_a_stop_goes_on_while_calls_are_finished_and_fails_if_somebody_asks_anew() -> None:
    assert end_of(row("model_stop", state="draining")) is None
    ended = end_of(row("model_stop", state="draining", is_wanted=True))
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "wanted"
