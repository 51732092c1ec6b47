"""What there is to choose from, out of the server's documents."""

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from cli.menu.asker import Offer
from cli.menu.draft import Draft
from cli.menu.settings import SETTINGS, Setting
from cli.printable import printable
from common.contracts.analyses import AnalysisDocument, AnalysisPage, AnalysisSummary
from common.contracts.analysis_types import AnalysisType
from common.contracts.jobs import TERMINAL
from common.contracts.models import ModelDocument

# No ids, so never one of an analysis.
OLDER, NEWER = "older", "newer"
THE_SERVERS_LEAD = ""
# Where the server names no default: a comparison takes two.
PRESELECTED = 2
PROMPT_CHARACTERS = 60


class Ready(Enum):
    """What is said to a draft that needs no further change."""

    SEND = auto()
    START_OVER = auto()


def why_not(model: ModelDocument) -> str | None:
    """Why this model cannot be asked; None if it can."""
    if "chat" not in model.capabilities:
        return "does not chat"
    return None if model.available else _line(model.reason or "not available").rstrip(".")


def type_offers(types: Iterable[AnalysisType], draft: Draft) -> list[Offer[str]]:
    """Every analysis type, with what it does."""
    return [Offer(one.name, one.name, one.description, is_chosen=one.name == draft.analysis_type) for one in types]


def model_offers(models: Sequence[ModelDocument], draft: Draft) -> list[Offer[str]]:
    """Every model, the chosen ones checked, else the default ones; those that cannot be asked with their reason."""
    chosen = _ids(models, draft.models) or _defaults(models)
    return [
        Offer(
            model.id,
            _title(model),
            unavailable=why_not(model),
            is_chosen=why_not(model) is None and model.id in chosen,
        )
        for model in models
    ]


def lead_offers(models: Sequence[ModelDocument], draft: Draft, *, may_be_nobody: bool) -> list[Offer[str | None]]:
    """Who may compare the answers: whom the server would take, those that are asked, the others; None is nobody."""
    available = [model.id for model in models if why_not(model) is None]
    names = [*draft.models, *(name for name in available if name not in draft.models)]
    leads: list[Offer[str | None]] = [
        Offer(THE_SERVERS_LEAD, "the server's choice", "The lead that its catalog names, else the first model.")
    ]
    leads += [Offer(name, _line(name), is_chosen=draft.is_merged and name == draft.lead_model) for name in names]
    if may_be_nobody:
        leads.append(Offer(None, "nobody: show the answers only", is_chosen=not draft.is_merged))
    return leads


def review_offers(draft: Draft) -> list[Offer[Setting | Ready]]:
    """Send it, change something about it, or begin again."""
    asked = f"Ask {', '.join(map(_line, draft.models))}: {_shortened(draft.prompt)}"
    offers: list[Offer[Setting | Ready]] = [Offer(Ready.SEND, asked)]
    offers += [Offer(setting, f"{setting.label}: {_shortened(setting.said(draft))}") for setting in SETTINGS]
    return [*offers, Offer(Ready.START_OVER, "Start over")]


def page_offers(page: AnalysisPage, *, is_first: bool) -> list[Offer[str]]:
    """A line an analysis, newest first, and the ways to the pages around: ids, `OLDER` and `NEWER`."""
    lines = [Offer(one.id, _summary(one)) for one in page.data]
    if page.next_cursor:
        lines.append(Offer(OLDER, "Older…"))
    if not is_first:
        lines.append(Offer(NEWER, "Newer…"))
    return lines


def action_offers(document: AnalysisDocument) -> list[Offer[str]]:
    """What can be done with an analysis, by how it stands."""
    again = Offer("again", "Ask again, with changes or without")
    if document.status in TERMINAL:
        return [Offer("back", "Go on"), again, Offer("delete", "Delete it")]
    return [Offer("watch", "Watch it"), again, Offer("cancel", "Cancel it"), Offer("back", "Go on, it keeps running")]


def _defaults(models: Sequence[ModelDocument]) -> set[str]:
    available = [model for model in models if why_not(model) is None]
    named = {model.id for model in available if model.default}
    return named or {model.id for model in available[:PRESELECTED]}


def _ids(models: Sequence[ModelDocument], names: Iterable[str]) -> set[str]:
    known = {name: model.id for model in models for name in (*model.aliases, model.id)}
    return {known[name] for name in names if name in known}


def _title(model: ModelDocument) -> str:
    # what cannot be asked leaves its line to the reason
    aliases = f" ({', '.join(model.aliases)})" if model.aliases and model.available else ""
    return _line(f"{model.id}{aliases}, {'local' if model.local else model.provider}")


def _summary(one: AnalysisSummary) -> str:
    created = one.created_at[:16].replace("T", " ")
    progress = f"{one.progress.done}/{one.progress.total}"
    models = _line(", ".join(model.asked for model in one.models))
    return f"{created}  {one.status:<9}  {progress:>5}  {_line(one.analysis_type)}: {models}"


def _shortened(text: str) -> str:
    line = _line(text)
    return line if len(line) <= PROMPT_CHARACTERS else f"{line[: PROMPT_CHARACTERS - 1]}…"


def _line(text: str) -> str:
    """One line that steers no terminal."""
    return " ".join(printable(text).split())
