"""A call: what is asked of one model, and what came back."""

import hashlib
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

CallStatus = Literal["queued", "running", "completed", "failed", "cancelled"]


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Parameters(BaseModel):
    """How a model is asked to sample. `None` leaves the choice to the catalog, then to the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=131_072)
    timeout_seconds: float | None = Field(None, gt=0, le=3600)


class Call(BaseModel):
    """One request to one model, as a workflow yields it.

    `model` is a catalog id, never an alias. `schema_` is a JSON Schema that the answer should obey;
    servers that can constrain their output are told it, others are not.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters = Parameters()
    schema_: dict[str, Any] | None = Field(None, alias="schema")

    def fingerprint(self) -> str:
        """A digest of everything that was asked; equal calls have equal fingerprints."""
        canonical = orjson.dumps(self.model_dump(mode="json", by_alias=True), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(canonical).hexdigest()[:32]


class Usage(BaseModel):
    """Tokens as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ErrorDetail(BaseModel):
    """Why something failed: a stable `code` for programs, a `message` for people."""

    code: str
    message: str


class Answer(BaseModel):
    """What a call came to. A failed call is a value too: `text` is None and `error` says why."""

    model: str = Field(description="Catalog id that was asked.")
    served_by: str | None = Field(None, description="Catalog id that answered.")
    provider: str | None = None
    status: CallStatus
    text: str | None = None
    finish_reason: str | None = Field(None, description="stop, length, content_filter or tool_calls.")
    usage: Usage | None = None
    cost_usd: float | None = Field(None, description="0 for local models, null where no price is known.")
    latency_ms: float | None = Field(None, description="From the request's start to its last token.")
    time_to_first_token_ms: float | None = None
    attempts: int = Field(0, description="Upstream requests made for this answer.")
    cached: bool = False
    error: ErrorDetail | None = None

    @property
    def is_ok(self) -> bool:
        """Whether there is a text to work with."""
        return self.status == "completed"
