"""Durable workflows by replay: run the recipe again over what is recorded, and see what it wants next.

The idea is that of Azure Durable Functions and Temporal. A recipe sees only its request and the answers
to its own calls, so replaying it over the same answers always arrives at the same point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.calls import Answer, Call
from common.contracts.jobs import Outcome
from common.errors import WorkflowChanged
from worker.workflows.registry import Recipe


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call that has ended: what was asked, as a fingerprint, and what came back."""

    fingerprint: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class NextRound:
    """The calls the recipe wants made now, all at once."""

    calls: tuple[Call, ...]


def replay(recipe: Recipe, recorded: Sequence[Sequence[RecordedCall]]) -> NextRound | Outcome:
    """The recipe's next round, or its outcome, given the finished rounds in order.

    Raises:
        WorkflowChanged: the recipe asks for something else than what was recorded.
    """
    try:
        asked = next(recipe)
        for finished in recorded:
            _require_same(asked, finished)
            asked = recipe.send([call.answer for call in finished])
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    if not asked:
        raise ValueError("a workflow yielded an empty round")
    return NextRound(tuple(asked))


def _require_same(asked: Sequence[Call], finished: Sequence[RecordedCall]) -> None:
    if [call.fingerprint() for call in asked] != [call.fingerprint for call in finished]:
        raise WorkflowChanged
