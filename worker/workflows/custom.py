"""An operator's pattern, stage by stage. docs/patterns.md is its description for those who write one."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from common.contracts.analyses import Analysis
from common.contracts.calls import Answer, Call, ErrorDetail, Parameters
from common.contracts.jobs import Outcome
from common.contracts.messages import Message
from common.contracts.patterns import Pattern, Stage
from common.contracts.shapes import Shape
from common.contracts.templates import fill
from worker.workflows import structured
from worker.workflows.asking import no_answers, nobody_answered, status_of
from worker.workflows.leading import unparsed
from worker.workflows.presentation import Section, as_list, present
from worker.workflows.registry import Recipe
from worker.workflows.talk import Heard, Seat, Talk, seats_of


def follow(request: Analysis) -> Recipe:
    """Ask stage after stage; each is a round.

    A model that has no earlier answer is left out where a template wants its own. A stage that hears nobody
    ends the job with what the stages before it heard, as `partial`; the first one, as `failed`.
    """
    pattern = request.pattern
    assert pattern is not None, "the engine knows this recipe by the pattern"
    talk = Talk(request.prompt, request.seed)
    every: list[Answer] = []
    for stage in pattern.stages:
        seats = seats_of(stage.models, [model.id for model in request.models], request.lead_model)
        if stage.uses("own_answer"):
            seats = [seat for seat in seats if talk.latest(seat) is not None]
        if not seats:
            what = f"Stage {stage.name!r} asks models about their own earlier answers, and none of them has one."
            return _cut_short(request, pattern, talk, every, no_answers([], what))
        answers = yield [_call(request, pattern, stage, seat, talk) for seat in seats]
        every += answers
        heard = {seat: answer for seat, answer in zip(seats, answers, strict=True) if answer.is_ok}
        if not heard and not talk.stages:
            return nobody_answered(answers)
        if not heard:
            silence = no_answers(answers, f"Stage {stage.name!r}: no model answered.")
            return _cut_short(request, pattern, talk, every, silence)
        talk.stages.append(Heard(stage.name, heard))
    return _whole(request, pattern, talk, every)


def _call(request: Analysis, pattern: Pattern, stage: Stage, seat: Seat, talk: Talk) -> Call:
    """What a stage says about sampling goes before what the request says; system prompts are both heard."""
    prompts = [prompt for prompt in (request.options.system, stage.system) if prompt]
    messages = [Message(role="system", content="\n\n".join(prompts))] if prompts else []
    asked, own = request.options, stage.parameters
    return Call(
        model=seat.model,
        messages=(*messages, Message(role="user", content=fill(stage.template, partial(talk.quote, seat=seat)))),
        parameters=Parameters(
            temperature=asked.temperature if own.temperature is None else own.temperature,
            max_tokens=own.max_tokens or asked.max_tokens,
            timeout_seconds=asked.timeout_seconds,
        ),
        schema=pattern.schema_of(stage),
        routing=request.routing,
    )


def _cut_short(request: Analysis, pattern: Pattern, talk: Talk, every: Sequence[Answer], error: ErrorDetail) -> Outcome:
    """The end of a pattern at a stage that heard nobody: what was heard before it, and why there is no more."""
    if any(heard.stage == pattern.result_stage.name for heard in talk.stages):
        return replace(_whole(request, pattern, talk, every), status="partial", error=error)
    result = {"stages": [heard.document() for heard in talk.stages], "final": None}
    return Outcome("partial", result, _as_text(talk.stages[-1], request), error)


def _whole(request: Analysis, pattern: Pattern, talk: Talk, every: Sequence[Answer]) -> Outcome:
    heard = next(one for one in talk.stages if one.stage == pattern.result_stage.name)
    if pattern.result.schema_ is not None:
        [answer] = heard.answers.values()
        return _documented(request, pattern.result.schema_, every, answer)
    text = _as_text(heard, request)
    result = {"stages": [one.document() for one in talk.stages], "final": text}
    return Outcome(status_of(every), result, text)


def _documented(request: Analysis, shape: Shape, every: Sequence[Answer], answer: Answer) -> Outcome:
    document = structured.read(answer.text or "", shape)
    if document is None:
        return unparsed(every, answer)
    sections = [Section(name.replace("_", " ").capitalize(), _readable(value)) for name, value in document.items()]
    return Outcome(status_of(every), {"parsed": True, **document}, present(sections, request.output_format))


def _as_text(heard: Heard, request: Analysis) -> str:
    """An answer alone as it is, several under their models' names."""
    answers = list(heard.answers.values())
    if len(answers) == 1:
        return answers[0].text or ""
    return present([Section(answer.model, answer.text or "") for answer in answers], request.output_format)


def _readable(value: Any) -> str:
    """A value of a document as a paragraph or a list."""
    if isinstance(value, dict):
        return as_list([f"{name.replace('_', ' ')}: {_inline(inner)}" for name, inner in value.items()])
    return as_list([_inline(item) for item in value]) if isinstance(value, list) else _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name.replace('_', ' ')}: {_inline(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_inline(item) for item in value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
