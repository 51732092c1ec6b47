"""Problem documents (RFC 9457): how every error looks on the wire."""

import math
from collections.abc import Mapping, Sequence

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ultrallm:problem:"


class FieldError(BaseModel):
    """One wrong field."""

    field: str = Field(description="Dotted path into the body, or the name of a parameter or header.")
    message: str


class Problem(BaseModel):
    """An error. Programs branch on `code`; `detail` is for people."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": f"{TYPE_PREFIX}model_not_found",
                    "title": "No model of that name.",
                    "status": 404,
                    "detail": "No model 'gpt5'. Did you mean gpt4?",
                    "code": "model_not_found",
                }
            ]
        }
    )

    type: str = Field(description="A URN that ends with the code.")
    title: str = Field(description="The same for every problem of this type.")
    status: int
    detail: str
    code: str
    errors: list[FieldError] = Field(default_factory=list, description="Which fields are wrong; only with 422.")


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    retry_after_seconds: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem response; `errors` are left out of the document where there are none."""
    document: dict[str, object] = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        document["errors"] = [error.model_dump() for error in errors]
    sent = {**(headers or {}), "cache-control": "no-store"}
    if retry_after_seconds is not None:
        sent["retry-after"] = str(max(1, math.ceil(retry_after_seconds)))
    return Response(orjson.dumps(document), status, sent, MEDIA_TYPE)
