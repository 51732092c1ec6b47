"""How much a client wants a model to think, whichever words it has for that.

`reasoning_effort` is OpenAI's; `thinking` is Anthropic's, which takes it in its interface like OpenAI's too.
"""

from typing import Any

from pydantic import ValidationError

from api.gateway.asked import Asked
from api.gateway.fields import an_object
from common.contracts.reasoning import EFFORTS, MAX_BUDGET_TOKENS, Reasoning
from common.errors import InvalidInput

# A model that cannot think comes near enough to these.
HARMLESS = (None, "none", "minimal")


def reasoning_of(asked: Asked) -> Reasoning | None:
    """What the client wants; None if it says nothing of it.

    Raises:
        InvalidInput: names the parameter.
    """
    effort, thinking = asked.body.get("reasoning_effort"), _thinking(asked)
    if effort not in (None, *EFFORTS):
        raise InvalidInput(f"`reasoning_effort` is one of {', '.join(EFFORTS)}.", field="reasoning_effort")
    match thinking.get("type"):
        case None:
            return Reasoning(effort=effort) if effort else None
        case "disabled" | "between_tools":  # no thoughts either, but words on the way, which is the model's own affair
            return Reasoning(effort="none")
        case "adaptive":
            budget = None
        case "enabled":
            budget = thinking.get("budget_tokens")
        case _:
            raise InvalidInput("`thinking` is enabled, adaptive or disabled.", field="thinking.type")
    is_shown = thinking.get("display") != "omitted"
    said = {"effort": thinking.get("effort") or effort, "budget_tokens": budget, "is_shown": is_shown}
    try:
        return Reasoning.model_validate(said)
    except ValidationError as error:
        wrong = error.errors()[0]["loc"][0]
        if wrong == "effort":
            raise InvalidInput(f"An effort is one of {', '.join(EFFORTS)}.", field="output_config.effort") from None
        raise InvalidInput(
            f"A budget is a whole number from 1 to {MAX_BUDGET_TOKENS}.", field="thinking.budget_tokens"
        ) from None


def insisted_on(asked: Asked) -> str | None:
    """The parameter that a model must be able to think for; None if nothing is lost where it cannot."""
    if asked.body.get("reasoning_effort") not in HARMLESS:
        return "reasoning_effort"
    return "thinking" if _thinking(asked).get("type") == "enabled" else None


def _thinking(asked: Asked) -> dict[str, Any]:
    given = asked.thinking if asked.thinking is not None else asked.body.get("thinking")
    return an_object(given if given is not None else {}, "thinking")
