import json

from tests.unit.worker.recipes import analysis, answer, drive, failed
from worker.workflows.factual import check

REPORT = {
    "answer": "A physicist.",
    "claims": [{"claim": "He was born in Ulm.", "verdict": "supported", "support": "both say so"}],
    "confidence": 9,
}


def test_one_model_alone_is_weighed_too() -> None:
    [weigh] = drive(check, analysis("a", prompt="Who was Einstein?"), [answer("a", "A physicist from Ulm.")])
    assert weigh.model == "lead"
    assert "A physicist from Ulm." in weigh.messages[0].content


def test_claims_carry_verdicts_and_confidence_lies_between_0_and_1() -> None:
    outcome = drive(check, analysis("a"), [answer("a")], [answer("lead", json.dumps(REPORT))])
    assert outcome.status == "completed"
    assert outcome.result["parsed"] is True
    assert outcome.result["claims"] == REPORT["claims"]
    assert outcome.result["confidence"] == 0.9
    assert "He was born in Ulm." in outcome.text


def test_a_verdict_outside_the_vocabulary_is_not_believed() -> None:
    report = REPORT | {"claims": [REPORT["claims"][0] | {"verdict": "probably"}]}
    outcome = drive(check, analysis("a"), [answer("a")], [answer("lead", json.dumps(report))])
    assert outcome.result["parsed"] is False


def test_without_merge_nothing_is_weighed() -> None:
    outcome = drive(check, analysis("a", options={"merge": False}), [answer("a", "A physicist.")])
    assert (outcome.status, outcome.text) == ("completed", "A physicist.")


def test_a_silent_lead_model_leaves_the_answers() -> None:
    outcome = drive(check, analysis("a"), [answer("a", "A physicist.")], [failed("lead")])
    assert (outcome.status, outcome.error.code, outcome.text) == ("partial", "rate_limited", "A physicist.")


def test_no_answer_fails() -> None:
    assert drive(check, analysis("a"), [failed("a")]).status == "failed"
