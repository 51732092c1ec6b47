"""Asking the lead model about the others' answers, and what is left when it fails."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from pydantic.config import JsonDict

from common.contracts.analyses import Analysis
from common.contracts.calls import Answer, Call, Parameters
from common.contracts.jobs import Outcome
from common.contracts.messages import Message
from worker.workflows.asking import status_of
from worker.workflows.presentation import Section, present

MAX_TOKENS = 1200
# Nearly the likeliest words, yet not quite: at 0 a small model repeats itself until the bounds stop it.
TEMPERATURE = 0.2

# Bounds of the schema alone: they keep a small model from filling a string or an array for ever, or with
# single letters, and full they come to about 700 tokens. A model that was not held to them may say more.
FEW: JsonDict = {"maxItems": 4}
Sentence = Annotated[str, Field(json_schema_extra={"minLength": 20, "maxLength": 160})]
Paragraph = Annotated[str, Field(json_schema_extra={"minLength": 20, "maxLength": 480})]


def lead_call(request: Analysis, task: str, schema: dict[str, Any]) -> Call:
    """The task to the lead model, its answer held to the schema where its server can."""
    return Call(
        model=request.lead_model,
        messages=(Message(role="user", content=task),),
        parameters=Parameters(
            temperature=TEMPERATURE, max_tokens=MAX_TOKENS, timeout_seconds=request.options.timeout_seconds
        ),
        schema=schema,
        routing=request.routing,
    )


def side_by_side(heard: Sequence[Answer], request: Analysis) -> str:
    """The answers under their models' names; one that was asked alone needs no heading."""
    if len(request.models) == 1:
        return heard[0].text or ""
    return present([Section(answer.model, answer.text or "") for answer in heard], request.output_format)


def unled(heard: Sequence[Answer], request: Analysis, silent: Answer) -> Outcome:
    """The end of an analysis whose lead model failed: the answers, and why there is no more."""
    return Outcome("partial", text=side_by_side(heard, request), error=silent.error)


def unparsed(answers: Sequence[Answer], garbled: Answer) -> Outcome:
    """The end of an analysis whose lead model wrote no valid document: its words, and nothing made up."""
    return Outcome(status_of(answers), result={"parsed": False, "text": garbled.text}, text=garbled.text)
