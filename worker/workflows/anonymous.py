"""Answers without names, in an order nobody chose, so that neither a famous name nor a first place wins."""

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.calls import Answer

# A lead model reads at most this much of each answer; past it a marker says that something is missing.
MAX_ANSWER_CHARACTERS = 6000


@dataclass(frozen=True, slots=True)
class Anonymous:
    """An answer under a letter. Only we know whose it is."""

    label: str
    answer: Answer


def anonymised(answers: Sequence[Answer], seed: str) -> list[Anonymous]:
    """The answers in an order drawn from `seed`, labelled A, B, C; the same seed gives the same order."""
    shuffled = list(answers)
    random.Random(seed).shuffle(shuffled)  # noqa: S311  # an order, not a secret
    return [Anonymous(_label(place), answer) for place, answer in enumerate(shuffled)]


def quoted(answers: Sequence[Anonymous]) -> str:
    """The answers as delimited data. A closing tag inside an answer cannot end the quotation."""
    return "\n\n".join(
        f'<answer label="{one.label}">\n{shortened(one.answer.text or "")}\n</answer>' for one in answers
    )


def shortened(text: str) -> str:
    """The beginning of an answer, fit to stand between tags."""
    harmless = text.replace("</answer", "<\u200b/answer")
    if len(harmless) <= MAX_ANSWER_CHARACTERS:
        return harmless
    return harmless[:MAX_ANSWER_CHARACTERS] + "\n[the rest was left out]"


def _label(place: int) -> str:
    letters = string.ascii_uppercase
    return letters[place] if place < len(letters) else f"{letters[place // 26 - 1]}{letters[place % 26]}"
