"""Accepting work: resolve names, commit, ring the broker, answer. In that order."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.exc import DataError

from api import models_asked
from api.backlog import Backlog
from api.database import Database, Row
from api.inference import analysis_of
from api.retry import again
from common.batching import Batcher
from common.catalog.catalog import Catalog
from common.catalog.local import LocalModel
from common.contracts.analyses import Analysis, AnalysisOptions, AnalysisRequest, AskedModel, JobAccepted
from common.contracts.analysis_types import BUILT_IN_NAMES, analysis_types
from common.contracts.calls import Routing
from common.contracts.fleet import InferenceRequest
from common.contracts.patterns import Pattern
from common.database import jobs
from common.documents import analysis_links
from common.doorbell import CONTROL_QUEUE, Doorbell
from common.errors import DependencyDown, IdempotencyConflict, InvalidInput, UnknownAnalysisType
from common.ids import uuid7
from common.lanes import Lane
from common.telemetry.port import SILENT, Telemetry

MAX_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is about to be committed."""

    job_id: UUID
    owner: str
    analysis: Analysis
    idempotency_key: str | None = None
    request_hash: str | None = None
    retry_of: UUID | None = None
    # where to ring for it; None if it waits for others of its owner
    lane: Lane | None = Lane.FRONT
    queue: str = CONTROL_QUEUE

    def row(self) -> dict[str, Any]:
        request = self.analysis.model_dump(mode="json")
        return {
            "id": str(self.job_id),
            "kind": self.analysis.analysis_type,
            "owner": self.owner,
            "models": request["models"],
            "request": request,
            "idempotency_key": self.idempotency_key,
            "request_hash": self.request_hash,
            "retry_of": str(self.retry_of) if self.retry_of else None,
            "waits": self.lane is None,
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was answered. A replay is the job that an earlier request with the same key made."""

    job: JobAccepted
    is_replay: bool = False


def resolve(request: AnalysisRequest, catalog: Catalog, patterns: Mapping[str, Pattern], job_id: UUID) -> Analysis:
    """The request with every name resolved and every default filled in.

    Raises:
        UnknownAnalysisType: lists the known ones.
        ModelNotFound: lists the nearest names.
    """
    pattern = _pattern(request.analysis_type, catalog, patterns)
    names = request.models or catalog.default_models
    models = tuple(AskedModel(asked=name, id=catalog.resolve(name).id) for name in names)
    lead = request.lead_model or catalog.default_lead
    return Analysis(
        prompt=request.prompt,
        analysis_type=request.analysis_type,
        models=models,
        lead_model=catalog.resolve(lead).id if lead else models[0].id,
        output_format=request.output_format,
        options=request.options,
        seed=str(job_id),
        routing=_routing(request.options, catalog, pattern),
        pattern=pattern,
    )


def _pattern(analysis_type: str, catalog: Catalog, patterns: Mapping[str, Pattern]) -> Pattern | None:
    """The pattern of this type; None for one that is built in."""
    if analysis_type in BUILT_IN_NAMES:
        return None
    if analysis_type not in patterns:
        raise UnknownAnalysisType(analysis_type, [one.name for one in analysis_types(patterns)])
    pattern = patterns[analysis_type]
    for model in models_asked.of_pattern(pattern):  # which the catalog knew when the patterns were read
        catalog.resolve(model)
    return pattern


def _routing(options: AnalysisOptions, catalog: Catalog, pattern: Pattern | None) -> Routing:
    usual = pattern is not None and pattern.cache
    return Routing(
        fallbacks=models_asked.fallback_ids(options, catalog),
        prefer=options.prefer,
        cache=usual if options.cache is None else options.cache,
    )


class Submissions:
    """Commits submissions in groups: those that come in during one commit leave with the next."""

    def __init__(
        self,
        database: Database,
        catalog: Callable[[], Catalog],
        patterns: Callable[[], Mapping[str, Pattern]],
        doorbell: Doorbell,
        backlog: Backlog,
        grace: timedelta,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._patterns = patterns
        self._doorbell = doorbell
        self._backlog = backlog
        self._grace = grace
        self._telemetry = telemetry
        self._commits: Batcher[Submission, Accepted | None] = Batcher(
            self._commit, is_of_one=lambda error: isinstance(error, DataError)
        )

    async def submit(self, request: AnalysisRequest, *, owner: str, idempotency_key: str | None) -> Accepted:
        """Store the job; when this returns it is committed and will run, whatever dies.

        Raises:
            UnknownAnalysisType, ModelNotFound: nothing was stored.
            IdempotencyConflict: the key belongs to another body.
            Busy: too many jobs wait, or too many of this owner's.
            DependencyDown: Postgres is away. The job may be stored all the same; the key finds it again.
        """
        with self._backlog.admit(owner) as lane:
            job_id = uuid7()
            analysis = resolve(request, self._catalog(), self._patterns(), job_id)
            request_hash = fingerprint(request) if idempotency_key else None
            return await self._store(Submission(job_id, owner, analysis, idempotency_key, request_hash, lane=lane))

    async def infer(
        self, request: InferenceRequest, entry: LocalModel, *, owner: str, idempotency_key: str | None
    ) -> Accepted:
        """Store the job of one call to this model; the rest is as with `submit`.

        It is begun by a worker that can make the call too: somebody waits.
        """
        with self._backlog.admit(owner) as lane:
            job_id = uuid7()
            analysis = analysis_of(request, entry, str(job_id))
            request_hash = fingerprint(request) if idempotency_key else None
            return await self._store(
                Submission(job_id, owner, analysis, idempotency_key, request_hash, lane=lane, queue=entry.queue)
            )

    async def retry(self, row: Row, *, idempotency_key: str | None) -> Accepted:
        """Store the ended job of this row again, as a new job of the same owner; the old one stays as it is.

        Raises:
            JobNotFinished, ModelGone: nothing was stored.
            IdempotencyConflict, Busy, DependencyDown: as with `submit`.
        """
        owner, job_id = row["owner"], uuid7()
        analysis = again(row, self._catalog(), job_id)
        request_hash = retry_fingerprint(row["id"]) if idempotency_key else None
        with self._backlog.admit(owner) as lane:
            return await self._store(
                Submission(job_id, owner, analysis, idempotency_key, request_hash, retry_of=row["id"], lane=lane)
            )

    async def _store(self, submission: Submission) -> Accepted:
        started_ns = time.time_ns()
        accepted = await self._commits.submit(submission)
        if accepted is None:
            # Looked for here: the others of its batch, and the batches behind it, have nothing to wait for.
            return await self._earlier(submission)
        self._telemetry.job_accepted(submission.job_id, submission.analysis.analysis_type, started_ns)
        return accepted

    async def _commit(self, batch: Sequence[Submission]) -> list[Accepted | None]:
        """What is answered to each submission; None where its key is taken."""
        rows = await self._database.fetch(jobs.insert([one.row() for one in batch], self._grace))
        created = {row["id"]: row["created_at"] for row in rows}
        for one in batch:
            if one.job_id in created and one.lane is not None:
                self._doorbell.ring(str(one.job_id), one.lane, one.queue)
        return [
            Accepted(_document(one.job_id, one.analysis.analysis_type, one.analysis.models, created[one.job_id]))
            if one.job_id in created
            else None
            for one in batch
        ]

    async def _earlier(self, submission: Submission) -> Accepted:
        """The job that has the key already."""
        key = submission.idempotency_key
        assert key is not None, "only a key can keep a row out"
        row = await self._database.first(jobs.by_idempotency_key(submission.owner, key))
        if row is None:
            raise DependencyDown("The job that had this Idempotency-Key was just deleted; send it again.")
        if row["request_hash"] != submission.request_hash:
            raise IdempotencyConflict
        models = [AskedModel(**model) for model in row["models"]]
        return Accepted(_document(row["id"], row["kind"], models, row["created_at"]), is_replay=True)


def idempotency_key(header: str | None) -> str | None:
    """The `Idempotency-Key` of a request, if it has one.

    Raises:
        InvalidInput: it is empty, longer than 255 characters, or not printable ASCII.
    """
    if header is None:
        return None
    if 0 < len(header) <= MAX_KEY_CHARACTERS and header.isascii() and header.isprintable():
        return header
    raise InvalidInput("must be 1 to 255 printable ASCII characters", field="Idempotency-Key")


def fingerprint(request: BaseModel) -> str:
    """Equal for equal requests, however their JSON was written.

    Defaults are left out, so that an option we add later changes no earlier request's.
    """
    return hashlib.sha256(request.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def retry_fingerprint(job_id: UUID) -> str:
    """Equal for retries of one job, and for nothing else."""
    return hashlib.sha256(f"retry of {job_id}".encode()).hexdigest()


def _document(job_id: UUID, kind: str, models: Sequence[AskedModel], created_at: Any) -> JobAccepted:
    return JobAccepted(
        id=str(job_id),
        status="queued",
        analysis_type=kind,
        models=list(models),
        created_at=created_at.isoformat(),
        links=analysis_links(str(job_id)),
    )
