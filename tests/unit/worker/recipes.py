"""Driving a recipe by hand: send it answers, look at what it asks next."""

from collections.abc import Sequence
from typing import Any

from common.contracts.analyses import Analysis, AnalysisOptions, AskedModel
from common.contracts.calls import Answer, Call, ErrorDetail
from common.contracts.jobs import Outcome
from worker.workflows.registry import Workflow


def analysis(*models: str, lead: str = "lead", **fields: Any) -> Analysis:
    options = AnalysisOptions(**fields.pop("options", {}))
    return Analysis(
        prompt=fields.pop("prompt", "Why is the sky blue?"),
        analysis_type="comparative",
        models=tuple(AskedModel(asked=name, id=name) for name in models),
        lead_model=lead,
        output_format=fields.pop("output_format", "text"),
        options=options,
        seed=fields.pop("seed", "job-1"),
    )


def answer(model: str, text: str = "Rayleigh scattering.") -> Answer:
    return Answer(model=model, status="completed", text=text)


def failed(model: str, code: str = "rate_limited") -> Answer:
    return Answer(model=model, status="failed", error=ErrorDetail(code=code, message=f"{model} is busy"))


def drive(recipe: Workflow, request: Analysis, *rounds: Sequence[Answer]) -> Sequence[Call] | Outcome:
    """What the recipe asks, or ends with, after it was sent these rounds of answers."""
    running = recipe(request)
    try:
        asked = next(running)
        for answers in rounds:
            asked = running.send(answers)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    return asked
