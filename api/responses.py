"""Documents as responses, with what lets callers poll cheaply."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.database import Row
from api.etags import etag, is_known
from api.events.channel import Finish
from api.examples import shown
from api.jobs import Jobs
from common.database import jobs

JSON = "application/json"

_ETAG = {"ETag": {"description": "Changes whenever the document does.", "schema": {"type": "string"}}}


def etag_responses(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """How an operation that sends an ETag is described."""
    return {
        200: {"headers": _ETAG} | shown(example),
        304: {"description": "The caller has this state already.", "headers": _ETAG},
    }


def document(content: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A contract as JSON, serialised once."""
    return Response(to_json(content), status, headers, JSON)


def job_document(row: Row, content: BaseModel) -> Response:
    """A job's document with its ETag."""
    return document(content, headers=_caching(etag(jobs.digest(row))))


def finished_document(finish: Finish, headers: dict[str, str]) -> Response:
    """The document of a job whose end was waited for."""
    return Response(finish.document, 200, _caching(etag(finish.digest)) | headers, JSON)


async def unchanged(request: Request, visible: Jobs, job_id: str, caller: Caller) -> Response | None:
    """304 if the caller has the job's present state, else None. Asks Postgres only if a tag was sent."""
    seen = request.headers.get("if-none-match")
    if not seen:
        return None
    _, digest = await visible.mark(job_id, caller)
    tag = etag(digest)
    return Response(status_code=304, headers=_caching(tag)) if is_known(seen, tag) else None


def _caching(tag: str) -> dict[str, str]:
    """Keep it, but ask each time whether it changed; it belongs to one caller."""
    return {"etag": tag, "cache-control": "private, no-cache"}
