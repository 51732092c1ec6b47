"""Accepting work: resolve names, commit, ring the broker, answer. In that order."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.exc import DataError

from api.backlog import Backlog
from api.database import Database
from common.batching import Batcher
from common.catalog.catalog import Catalog
from common.contracts.analyses import Analysis, AnalysisRequest, AskedModel, JobAccepted
from common.contracts.analysis_types import BUILT_IN
from common.database import jobs
from common.documents import analysis_links
from common.doorbell import Doorbell
from common.errors import AppError, DependencyDown, IdempotencyConflict, InvalidInput, UnknownAnalysisType
from common.ids import uuid7

MAX_KEY_CHARACTERS = 255
KNOWN_TYPES = tuple(one.name for one in BUILT_IN)


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is about to be committed."""

    job_id: UUID
    owner: str
    analysis: Analysis
    idempotency_key: str | None = None
    request_hash: str | None = None

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
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was answered. A replay is the job that an earlier request with the same key made."""

    job: JobAccepted
    is_replay: bool = False


def resolve(request: AnalysisRequest, catalog: Catalog, job_id: UUID) -> Analysis:
    """The request with every name resolved and every default filled in.

    Raises:
        UnknownAnalysisType: lists the known ones.
        ModelNotFound: lists the nearest names.
    """
    if request.analysis_type not in KNOWN_TYPES:
        raise UnknownAnalysisType(request.analysis_type, KNOWN_TYPES)
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
    )


class Submissions:
    """Commits submissions in groups: those that come in during one commit leave with the next."""

    def __init__(
        self, database: Database, catalog: Catalog, doorbell: Doorbell, backlog: Backlog, grace: timedelta
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._doorbell = doorbell
        self._backlog = backlog
        self._grace = grace
        self._commits: Batcher[Submission, Accepted | Exception] = Batcher(self._commit)

    async def submit(self, request: AnalysisRequest, *, owner: str, idempotency_key: str | None) -> Accepted:
        """Store the job; when this returns it is committed and will run, whatever dies.

        Raises:
            UnknownAnalysisType, ModelNotFound: nothing was stored.
            IdempotencyConflict: the key belongs to another body.
            Busy: too many jobs wait.
            DependencyDown: Postgres is away. The job may be stored all the same; the key finds it again.
        """
        self._backlog.admit()
        job_id = uuid7()
        analysis = resolve(request, self._catalog, job_id)
        request_hash = fingerprint(request) if idempotency_key else None
        outcome = await self._commits.submit(Submission(job_id, owner, analysis, idempotency_key, request_hash))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _commit(self, batch: Sequence[Submission]) -> list[Accepted | Exception]:
        """One outcome a submission; what is wrong with one is no other's."""
        try:
            rows = await self._database.fetch(jobs.insert([one.row() for one in batch], self._grace))
        except DataError as error:
            if len(batch) == 1:
                return [error]
            return [(await self._commit([one]))[0] for one in batch]
        created = {row["id"]: row["created_at"] for row in rows}
        for job_id in created:
            self._doorbell.ring(str(job_id))
        return [
            Accepted(_document(one.job_id, one.analysis.analysis_type, one.analysis.models, created[one.job_id]))
            if one.job_id in created
            else await self._earlier(one)
            for one in batch
        ]

    async def _earlier(self, submission: Submission) -> Accepted | AppError:
        """The job that has the key already."""
        key = submission.idempotency_key
        assert key is not None, "only a key can keep a row out"
        try:
            row = await self._database.first(jobs.by_idempotency_key(submission.owner, key))
        except DependencyDown as error:
            return error
        if row is None:
            return DependencyDown("The job that had this Idempotency-Key was just deleted; send it again.")
        if row["request_hash"] != submission.request_hash:
            return IdempotencyConflict()
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


def fingerprint(request: AnalysisRequest) -> str:
    """Equal for equal requests, however their JSON was written."""
    return hashlib.sha256(to_json(request)).hexdigest()


def _document(job_id: UUID, kind: str, models: Sequence[AskedModel], created_at: Any) -> JobAccepted:
    return JobAccepted(
        id=str(job_id),
        status="queued",
        analysis_type=kind,
        models=list(models),
        created_at=created_at.isoformat(),
        links=analysis_links(str(job_id)),
    )
