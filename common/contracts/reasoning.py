"""How much a model thinks before it speaks, in nobody's words in particular."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)

MAX_BUDGET_TOKENS = 131_072
# What an effort comes to in tokens. Anthropic's least is 1,024, the most of Gemini 2.5 between 24,576 and 32,768.
BUDGETS: Mapping[Effort, int] = MappingProxyType(
    {"none": 0, "minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 32_768}
)


class Reasoning(BaseModel):
    """An effort, a budget in tokens, or both, of which each model takes the one it knows.

    With neither the model thinks as it sees fit. `is_shown` says whether its thoughts are told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    effort: Effort | None = None
    budget_tokens: int | None = Field(None, ge=1, le=MAX_BUDGET_TOKENS)
    is_shown: bool = True

    @property
    def is_off(self) -> bool:
        """Whether the model is not to think at all."""
        return self.effort == "none"


class ReasoningControl(BaseModel):
    """How a model is told to think: by a budget of tokens, by an effort in words, or on and off by a switch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["budget", "effort", "switch"]
    least: int = Field(1024, ge=1, le=MAX_BUDGET_TOKENS, description="The smallest budget that the model takes.")
    most: int = Field(MAX_BUDGET_TOKENS, ge=1, le=MAX_BUDGET_TOKENS, description="The largest one.")
    efforts: tuple[Effort, ...] = Field(
        ("low", "medium", "high"), min_length=1, description="Those it knows; of others it is told the nearest."
    )
    always: bool = Field(False, description="It cannot be kept from thinking: told not to, it thinks the least.")

    def told(self, wish: Reasoning) -> Reasoning:
        """What this model is told of it: a budget, or an effort.

        Neither, where it has a switch, or may think as it sees fit.
        """
        if wish.is_off and not self.always:
            return Reasoning(effort="none", is_shown=False)
        is_shown = wish.is_shown and not wish.is_off
        match self.by:
            case "budget":
                budget = wish.budget_tokens or BUDGETS[wish.effort or "medium"]
                return Reasoning(budget_tokens=max(self.least, min(budget, self.most)), is_shown=is_shown)
            case "effort":
                effort = wish.effort or (effort_of(wish.budget_tokens) if wish.budget_tokens else None)
                return Reasoning(effort=effort and self._nearest(effort), is_shown=is_shown)
            case "switch":
                return Reasoning(is_shown=is_shown)

    def _nearest(self, effort: Effort) -> Effort:
        wanted = EFFORTS.index(effort)
        return min(self.efforts, key=lambda known: (abs(EFFORTS.index(known) - wanted), EFFORTS.index(known)))


def effort_of(budget_tokens: int) -> Effort:
    """The effort that a budget comes to; not above `high`, which every server knows that knows efforts."""
    return "low" if budget_tokens <= BUDGETS["low"] else "medium" if budget_tokens <= BUDGETS["medium"] else "high"
