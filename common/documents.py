"""Rows into the documents that people see. The worker and the API show the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.contracts.analyses import AnalysisDocument, AnalysisSummary, AskedModel
from common.contracts.calls import Answer
from common.contracts.dead_letters import DeadCall
from common.contracts.fleet import OperationDocument
from common.contracts.jobs import JobDocument, Links, Progress
from common.fleet.documents import is_operation, operation

Row = Mapping[str, Any]


def analysis_links(job_id: str) -> Links:
    path = f"/api/analysis/{job_id}"
    return Links(self=path, events=f"{path}/events", cancel=f"{path}/cancel")


def job_links(job_id: str) -> Links:
    """Any job can be looked at by its id alone."""
    return Links(self=f"/api/jobs/{job_id}", events=f"/api/jobs/{job_id}/events", cancel=f"/api/jobs/{job_id}/cancel")


def summary(row: Row) -> AnalysisSummary:
    """A line of the list."""
    return AnalysisSummary(**_summary_fields(row))


def analysis(row: Row) -> AnalysisDocument:
    """The whole analysis, from a job row with its `calls`.

    `answers` holds the first round, one an asked model, in the order they were asked; before the
    round has begun each model is shown as queued.
    """
    request = row["request"]
    first_round = [call for call in row["calls"] or [] if call["round"] == 0]
    answers = [_answer(call) for call in first_round]
    if not answers:
        status = "cancelled" if row["status"] == "cancelled" else "queued"
        answers = [Answer(model=model["id"], status=status) for model in row["models"]]
    return AnalysisDocument(
        **_summary_fields(row),
        prompt=request["prompt"],
        output_format=request["output_format"],
        answers=answers,
        result=row["result"],
        text=row["text"],
        error=row["error"],
        retry_of=str(row["retry_of"]) if row["retry_of"] else None,
    )


def is_analysis(row: Row) -> bool:
    """Whether this job was asked for as an analysis, of whatever type."""
    return "analysis_type" in row["request"]


def whole(row: Row) -> AnalysisDocument | JobDocument | OperationDocument:
    """All that there is to say about a job, from its row with its `calls`."""
    if is_operation(row):
        return operation(row)
    return analysis(row) if is_analysis(row) else job(row)


def job(row: Row) -> JobDocument:
    """The document that every kind of job has."""
    return JobDocument(
        id=str(row["id"]),
        kind=row["kind"],
        status=row["status"],
        created_at=_iso(row["created_at"]) or "",
        started_at=_iso(row["started_at"]),
        finished_at=_iso(row["finished_at"]),
        progress=_progress(row),
        result=row["result"],
        text=row["text"],
        error=row["error"],
        retry_of=str(row["retry_of"]) if row["retry_of"] else None,
        links=job_links(str(row["id"])),
    )


def dead_call(row: Row) -> DeadCall:
    """A line of the dead letters."""
    return DeadCall(
        job_id=str(row["job_id"]),
        call_id=str(row["id"]),
        kind=row["kind"],
        job_status=row["status"],
        model=row["model"],
        attempts=row["attempt"],
        silences=row["silences"] + 1,  # the last one was not written down, it ended the call
        died_at=_iso(row["finished_at"]) or "",
        error=row["error"],
    )


def _summary_fields(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "status": row["status"],
        "analysis_type": row["kind"],
        "models": [AskedModel(**model) for model in row["models"]],
        "created_at": _iso(row["created_at"]),
        "started_at": _iso(row["started_at"]),
        "finished_at": _iso(row["finished_at"]),
        "progress": _progress(row),
        "links": analysis_links(str(row["id"])),
    }


def _progress(row: Row) -> Progress:
    return Progress(done=row["total"] - row["pending"], total=row["total"] or len(row["models"]))


def _answer(call: Row) -> Answer:
    if call["answer"] is not None:
        return Answer(**call["answer"])
    return Answer(model=call["model"], status=call["status"], attempts=call["attempt"])


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
