"""What has been seen of a job so far: the state behind every view, built from events alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.printable import printable
from cli.watch import Event
from common.contracts.analyses import AnalysisDocument, AskedModel
from common.contracts.calls import Answer, CallStatus


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call's model is being started: which one, a stand-in perhaps, and how far that is."""

    model: str
    state: str
    reason: str | None = None
    progress: dict[str, Any] | None = None


@dataclass(slots=True)
class Column:
    """One call, as a reader sees it. `label` is the name its model was asked by, `waiting` gone once it answers."""

    model: str
    label: str
    call: str | None = None
    status: CallStatus = "queued"
    attempt: int = 0
    text: str = ""
    waiting: Waiting | None = None
    answer: Answer | None = None

    def begin(self, status: CallStatus, attempt: int) -> None:
        """A further attempt starts from nothing."""
        if attempt != self.attempt:
            self.text = ""
        self.status, self.attempt, self.waiting = status, attempt, None

    def add(self, text: str) -> None:
        """It says more."""
        self.status, self.waiting = "running", None
        self.text += printable(text)

    def end(self, answer: Answer) -> None:
        """The answer is the whole text, whatever was seen of it before."""
        self.answer, self.waiting = answer, None
        self.status = answer.status
        if answer.text is not None:
            self.text = printable(answer.text)


@dataclass(slots=True)
class Transcript:
    """Columns for the models that were asked, then one for each call of a later round, as it appears."""

    asked: list[Column]
    later: list[Column] = field(default_factory=list)
    document: AnalysisDocument | None = None

    @classmethod
    def of(cls, models: Sequence[AskedModel]) -> "Transcript":
        """Nothing seen yet."""
        return cls([Column(model.id, model.asked) for model in models])

    def apply(self, event: Event) -> Column | None:
        """Take in an event; returns the column it belongs to, if it is about a call."""
        data = event.data
        if event.name == "job.finished":
            self._take_document(AnalysisDocument.model_validate(data))
        if "call" not in data:
            return None
        column = self._column(data["call"], data.get("model"))
        match event.name:
            case "call.started":
                column.begin("running", data["attempt"])
            case "call.waiting":
                column.waiting = _waiting(data)
            case "call.delta":
                column.add(data["text"])
            case "call.reset":
                column.begin("queued", data["attempt"])
            case "call.finished" | "call.failed":
                column.end(Answer.model_validate(data["answer"]))
        return column

    def _column(self, call: str, model: str | None) -> Column:
        """The column of a call: its own, else the first free one of its model, else a later round's."""
        for column in (*self.asked, *self.later):
            if column.call == call:
                return column
        for column in self.asked:
            if column.call is None and column.model == model:
                column.call = call
                return column
        self.later.append(Column(model or "?", model or "?", call))
        return self.later[-1]

    def _take_document(self, document: AnalysisDocument) -> None:
        self.document = document
        for column, answer in zip(self.asked, document.answers, strict=False):
            column.end(answer)


def _waiting(data: dict[str, Any]) -> Waiting:
    """Reasons quote containers, which may say anything."""
    reason = data["reason"] and printable(data["reason"])
    return Waiting(data.get("asked", data["model"]), data["state"], reason, data["progress"])
