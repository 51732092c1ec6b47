"""Advancing a job: replay its workflow, then open its next round or write its outcome."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.analyses import Analysis
from common.contracts.calls import Answer, Call, ErrorDetail
from common.contracts.jobs import TERMINAL, Outcome
from common.errors import AppError, WorkflowChanged
from common.events import EventSink
from common.fleet.queues import own_queue
from common.ids import uuid7
from common.lanes import Lane
from common.storable import storable
from common.telemetry.port import SILENT, Telemetry
from worker.replay import NextRound, RecordedCall, replay
from worker.store import Store
from worker.workflows import custom, registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """A round that is committed and waits for its chord: `(call_id, queue)` of each call."""

    job_id: str
    calls: tuple[tuple[str, str], ...]
    lane: Lane = Lane.FRONT


class Engine:
    """Moves jobs forward. Any number may work on one job at once: compare-and-set lets one win.

    `catalog` is asked anew each time: the file may change while we run. `queue_of` says where a model's calls are made.
    """

    def __init__(
        self,
        store: Store,
        catalog: Callable[[], Catalog],
        events: EventSink,
        telemetry: Telemetry = SILENT,
        queue_of: Callable[[ModelEntry], str] = own_queue,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._events = events
        self._telemetry = telemetry
        self._entry_queue = queue_of

    async def advance(self, job_id: UUID) -> Round | None:
        """Take one step, and commit it; safe to call at any time, any number of times.

        A job that ends makes room: its owner's next one begins in its place.
        Returns the round to dispatch, or None: the job ended, waits for calls or for its owner's others,
        or somebody else was first.
        """
        here: UUID | None = job_id
        while here is not None:
            job = await self._store.load_job(here)
            if job is None or job["status"] in TERMINAL or job["pending"] > 0:
                return None
            step = self._next_step(job)
            if isinstance(step, NextRound):
                try:
                    return await self._begin(job, step)
                except AppError as error:  # a model that the catalog no longer has
                    step = _failed(error)
            here = await self._finish(job, step)
        return None

    def _next_step(self, job: RowMapping) -> NextRound | Outcome:
        try:
            request = Analysis(**job["request"])
            recipe = custom.follow if request.pattern is not None else registry.find(job["kind"])
            if recipe is None:
                return _failed(WorkflowChanged(f"This installation has no workflow {job['kind']!r}."))
            return replay(recipe(request), _recorded(job))
        except WorkflowChanged as error:
            return _failed(error)
        except Exception:
            logger.exception("workflow %s failed on job %s", job["kind"], job["id"])
            return Outcome(
                "failed", error=ErrorDetail(code="workflow_error", message="The workflow's own code failed.")
            )

    async def _begin(self, job: RowMapping, step: NextRound) -> Round | None:
        asked = [
            {
                "id": str(uuid7()),
                "job_id": str(job["id"]),
                "round": job["round"],
                "position": position,
                "model": call.model,
                "queue": self._queue_of(call),
                "fingerprint": call.fingerprint(),
                "request": call.model_dump(mode="json", by_alias=True),
            }
            for position, call in enumerate(step.calls)
        ]
        lane = await self._store.begin_round(asked)
        if lane is None:
            return None
        progress = {"done": job["total"], "total": job["total"] + len(asked)}
        self._events.append(job["id"], "job.status", {"status": "running", "progress": progress})
        return Round(str(job["id"]), tuple((call["id"], call["queue"]) for call in asked), lane)

    async def _finish(self, job: RowMapping, outcome: Outcome) -> UUID | None:
        """Write the outcome; returns the job that may begin now."""
        ending = {
            "id": str(job["id"]),
            "round": job["round"],
            "status": outcome.status,
            "result": _storable(outcome.result),
            "text": _storable(outcome.text),
            "error": outcome.error.model_dump() if outcome.error else None,
        }
        ended = await self._store.finish_job(ending)
        if ended is None:
            return None
        self._events.append(job["id"], "job.finished", {"status": outcome.status})
        self._telemetry.job_ended(job["id"], job["kind"], outcome.status)
        return ended.next_job_id

    def _queue_of(self, call: Call) -> str:
        return self._entry_queue(self._catalog().resolve(call.model))


def _recorded(job: RowMapping) -> list[list[RecordedCall]]:
    rounds = groupby(job["calls"] or [], key=lambda call: call["round"])
    return [[RecordedCall(call["fingerprint"], Answer(**call["answer"])) for call in calls] for _, calls in rounds]


def _failed(error: AppError) -> Outcome:
    return Outcome("failed", error=ErrorDetail(code=error.code, message=error.message))


def _storable(document: Any) -> Any:
    """The document with texts that Postgres stores: models spell in JSON what no text may hold."""
    if isinstance(document, str):
        return storable(document)
    if isinstance(document, dict):
        return {storable(name): _storable(value) for name, value in document.items()}
    return [_storable(item) for item in document] if isinstance(document, list) else document
