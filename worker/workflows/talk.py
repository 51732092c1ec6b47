"""What was said in the stages of a pattern so far, and what the next template may quote of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from common.contracts.calls import Answer
from common.contracts.patterns import Asked
from worker.workflows.anonymous import anonymised, quoted, shortened


@dataclass(frozen=True, slots=True)
class Seat:
    """A model at the table. One that is named twice has two seats, and each its own answers."""

    model: str
    number: int


@dataclass(frozen=True, slots=True)
class Heard:
    """The answers of a stage, in the order of asking. Those that failed are not among them."""

    stage: str
    answers: dict[Seat, Answer]

    def document(self) -> dict[str, Any]:
        return {
            "name": self.stage,
            "answers": [{"model": seat.model, "text": answer.text} for seat, answer in self.answers.items()],
        }


@dataclass(slots=True)
class Talk:
    """The stages so far. What templates quote depends on them and on `seed`, and on nothing else."""

    prompt: str
    seed: str
    stages: list[Heard] = field(default_factory=list)

    def latest(self, seat: Seat) -> Answer | None:
        """What the seat said last."""
        return next((one.answers[seat] for one in reversed(self.stages) if seat in one.answers), None)

    def quote(self, name: str, seat: Seat) -> str:
        """The value of a placeholder in what this seat is asked next."""
        match name:
            case "prompt":
                return self.prompt
            case "own_answer":
                own = self.latest(seat)
                return shortened(own.text or "") if own else ""
            case "other_answers":
                return self._quoted([answer for other, answer in self._latest_of_all().items() if other != seat])
        before = list(self.stages[-1].answers.values())
        if name == "previous" and len(before) == 1:
            return shortened(before[0].text or "")
        return self._quoted(before)

    def _latest_of_all(self) -> dict[Seat, Answer]:
        return {seat: answer for one in self.stages for seat, answer in one.answers.items()}

    def _quoted(self, answers: Sequence[Answer]) -> str:
        # Another order in each stage: what stood first once should not stand first always.
        return quoted(anonymised(answers, f"{self.seed}/{len(self.stages)}")) or "(none)"


def seats_of(asked: Asked, models: Sequence[str], lead: str) -> list[Seat]:
    """Where those sit whom a stage asks."""
    ids = models if asked == "all" else [lead] if asked == "lead" else asked
    count: Counter[str] = Counter()
    seats = []
    for model in ids:
        seats.append(Seat(model, count[model]))
        count[model] += 1
    return seats
