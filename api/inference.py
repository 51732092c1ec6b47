"""`/inference`: one prompt for one model, as an analysis of one call."""

from typing import Any

import orjson

from api.events.channel import Finish
from common.catalog.local import LocalModel
from common.contracts.analyses import Analysis, AnalysisOptions, AskedModel
from common.contracts.calls import Routing
from common.contracts.fleet import InferenceDocument, InferenceRequest
from common.errors import AppError, BadUpstream, JobNotFound, ProviderError

KIND = "inference"


def analysis_of(request: InferenceRequest, entry: LocalModel, seed: str) -> Analysis:
    """What the job asks. Who names a model wants that one: nobody stands in for it."""
    return Analysis(
        prompt=request.prompt,
        analysis_type=KIND,
        models=(AskedModel(asked=request.model_id, id=entry.id),),
        lead_model=entry.id,
        output_format="text",
        options=AnalysisOptions(
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            timeout_seconds=request.timeout_seconds,
            system=request.system,
        ),
        seed=seed,
        routing=Routing(fallbacks={}),
    )


def document_of(finish: Finish) -> InferenceDocument:
    """What the job that has ended came to.

    Raises:
        AppError: it has no answer, and why.
    """
    job: dict[str, Any] = orjson.loads(finish.document)
    if job["status"] == "completed":
        return InferenceDocument(**job["result"], job_id=job["id"])
    if job["status"] == "cancelled":
        raise JobNotFound("The job was cancelled while this waited.")
    error = job["error"] or {"code": BadUpstream.code, "message": "It failed without a word."}
    raise error_of(error["code"], error["message"])


def error_of(code: str, message: str) -> AppError:
    """The error that a call failed with, from what was recorded of it."""
    kinds = {kind.code: kind for kind in ProviderError.__subclasses__()}
    return kinds.get(code, ProviderError)(message)
