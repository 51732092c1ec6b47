"""The end of an analysis, for reading: what each model said, how they compare, what it took."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli.printable import printable
from cli.transcript import Column
from cli.views.figures import cost, duration, tokens
from cli.views.panels import layout, panel, side_by_side
from cli.views.result import sections
from common.contracts.analyses import AnalysisDocument
from common.contracts.calls import Answer

STATUS_STYLES = {"completed": "green", "partial": "yellow", "failed": "red", "cancelled": "red"}


def report(document: AnalysisDocument, console: Console, *, with_answers: bool) -> Group:
    """The whole document; `with_answers=False` where the reader has seen the answers already."""
    parts: list[RenderableType] = []
    if with_answers:
        parts += _answers(document, console)
    parts += _result(document)
    parts.append(_table(document))
    parts.append(_last_line(document))
    return Group(*parts)


def _answers(document: AnalysisDocument, console: Console) -> Iterator[RenderableType]:
    labels = {model.id: model.asked for model in document.models}
    columns = [
        Column(
            answer.model,
            labels.get(answer.model, answer.model),
            status=answer.status,
            attempt=answer.attempts,
            answer=answer if answer.status not in {"queued", "running"} else None,
        )
        for answer in document.answers
    ]
    panels = [
        panel(column, place, Text(printable(answer.text or "")))
        for place, (column, answer) in enumerate(zip(columns, document.answers, strict=True))
    ]
    yield side_by_side(panels, layout(len(panels), console.size.width, console.size.height).panels_a_row)


def _result(document: AnalysisDocument) -> Iterator[RenderableType]:
    if document.result is None:
        return
    yield Rule(Text(document.analysis_type, style="bold"), style="dim")
    if document.result.get("parsed") is False:
        yield Text("The lead model's reply did not have the form it was asked for; here it is as it came.\n", "yellow")
    yield from sections(document.result)


def _table(document: AnalysisDocument) -> Table:
    has_cost = any(answer.cost_usd for answer in document.answers)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("model", "status", "tokens", "first token", "latency", "attempts"):
        table.add_column(name, justify="left" if name in {"model", "status"} else "right")
    if has_cost:
        table.add_column("cost", justify="right")
    for answer in document.answers:
        cells: list[RenderableType] = [
            Text(_who(answer)),
            Text(answer.error.code if answer.error else answer.status, style=STATUS_STYLES.get(answer.status, "")),
            tokens(answer.usage),
            duration(answer.time_to_first_token_ms),
            duration(answer.latency_ms),
            str(answer.attempts),
        ]
        table.add_row(*cells, *([cost(answer)] if has_cost else []))
    return table


def _who(answer: Answer) -> str:
    if answer.served_by in {None, answer.model}:
        return answer.model
    return f"{answer.model} (served by {answer.served_by})"


def _last_line(document: AnalysisDocument) -> Text:
    line = Text(f"\n{document.id} ", style="dim")
    line.append(document.status, style=STATUS_STYLES.get(document.status, "cyan"))
    if document.error is not None:
        is_comparison = all(answer.is_ok for answer in document.answers)
        line.append(f"{', without a comparison' if is_comparison else ''}: {printable(document.error.message)}")
    return line
