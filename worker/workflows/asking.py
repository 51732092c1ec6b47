"""What every analysis does first: put the user's prompt to each model, and sum up who answered."""

from collections.abc import Sequence
from typing import Literal

from common.contracts.analyses import Analysis, AnalysisOptions
from common.contracts.calls import Answer, Call, ErrorDetail, Parameters
from common.contracts.jobs import Outcome
from common.contracts.messages import Message


def ask_each(request: Analysis) -> list[Call]:
    """The prompt to every model, in the order they were named."""
    system = [Message(role="system", content=request.options.system)] if request.options.system else []
    messages = (*system, Message(role="user", content=request.prompt))
    return [
        Call(model=model.id, messages=messages, parameters=sampling(request.options), routing=request.routing)
        for model in request.models
    ]


def sampling(options: AnalysisOptions) -> Parameters:
    return Parameters(
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        timeout_seconds=options.timeout_seconds,
    )


def status_of(answers: Sequence[Answer]) -> Literal["completed", "partial"]:
    """`completed` if every model answered, `partial` if some did."""
    return "completed" if all(answer.is_ok for answer in answers) else "partial"


def nobody_answered(answers: Sequence[Answer]) -> Outcome:
    """The end of an analysis without a single answer: the reasons, one a model."""
    return Outcome("failed", error=no_answers(answers, "No model answered."))


def no_answers(answers: Sequence[Answer], what: str) -> ErrorDetail:
    reasons = "; ".join(
        f"{answer.model}: {answer.error.message if answer.error else answer.status}" for answer in answers
    )
    return ErrorDetail(code="no_answers", message=f"{what} {reasons}".strip())
