import pytest

from common.contracts.calls import Answer, Call
from common.contracts.jobs import Outcome
from common.contracts.messages import Message
from common.errors import WorkflowChanged
from worker.replay import NextRound, RecordedCall, replay
from worker.workflows.registry import Recipe

FIRST = Call(model="a", messages=(Message(role="user", content="one"),))
SECOND = Call(model="b", messages=(Message(role="user", content="two"),))


def two_rounds() -> Recipe:
    answers = yield [FIRST]
    answers = yield [SECOND] * len(answers)
    return Outcome("completed", text=answers[0].text)


def recorded(call: Call, text: str = "") -> RecordedCall:
    return RecordedCall(call.fingerprint(), Answer(model=call.model, status="completed", text=text))


def test_nothing_recorded_asks_the_first_round() -> None:
    assert replay(two_rounds(), []) == NextRound((FIRST,))


def test_a_finished_round_leads_to_the_next() -> None:
    assert replay(two_rounds(), [[recorded(FIRST)]]) == NextRound((SECOND,))


def test_all_rounds_finished_give_the_outcome() -> None:
    assert replay(two_rounds(), [[recorded(FIRST)], [recorded(SECOND, "done")]]) == Outcome("completed", text="done")


def test_replaying_again_gives_the_same() -> None:
    history = [[recorded(FIRST)]]
    assert replay(two_rounds(), history) == replay(two_rounds(), history)


def test_a_changed_recipe_is_found_out() -> None:
    with pytest.raises(WorkflowChanged):
        replay(two_rounds(), [[recorded(SECOND)]])


def test_another_number_of_calls_is_found_out() -> None:
    with pytest.raises(WorkflowChanged):
        replay(two_rounds(), [[recorded(FIRST), recorded(FIRST)]])


def test_an_empty_round_is_an_error_in_the_recipe() -> None:
    def empty() -> Recipe:
        yield []
        return Outcome("completed")

    with pytest.raises(ValueError, match="empty round"):
        replay(empty(), [])
