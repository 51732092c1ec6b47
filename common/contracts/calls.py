"""A call: what is asked of one model, and what came back."""

import hashlib
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.contracts.messages import Message, Tool, ToolCall
from common.contracts.reasoning import Reasoning

CallStatus = Literal["queued", "running", "completed", "failed", "cancelled"]

# What an error means for the choice of another model; each may have a fallback chain of its own.
ErrorClass = Literal["rate_limited", "context_too_long", "content_refused", "unavailable"]


class Parameters(BaseModel):
    """How a model is asked to sample. `None` leaves the choice to the catalog, then to the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=131_072)
    stop: tuple[str, ...] = Field((), max_length=4)
    seed: int | None = None
    timeout_seconds: float | None = Field(None, gt=0, le=3600, description="Deadline of one attempt.")


class Routing(BaseModel):
    """What the caller wishes about who answers, beyond the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fallbacks: dict[ErrorClass, tuple[str, ...]] | None = Field(
        None, description="Catalog ids to ask instead, by class of error; None leaves it to the catalog, {} means none."
    )
    prefer: Literal["local", "cloud"] | None = None
    cache: bool = Field(False, description="An equal call's recorded answer will do.")


class Call(BaseModel):
    """One request to one model, as a workflow yields it.

    `model` is a catalog id, never an alias. `schema_` is a JSON Schema that the answer should obey;
    servers that can constrain their output are told it, others are not. `tool_choice` is `auto`, `none`,
    `required`, or the name of the tool that must be called.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters = Parameters()
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    reasoning: Reasoning | None = Field(None, description="None leaves it to the catalog, then to the server.")
    routing: Routing = Routing()

    def fingerprint(self) -> str:
        """A digest of everything that was asked; equal calls have equal fingerprints.

        What was left at its default is left out, so that a field we add later changes no recorded call's.
        """
        asked = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


# No request has as many. A server that says more miscounts, and must not overflow what sums it up.
MAX_TOKENS = 1_000_000_000
Tokens = Annotated[int, AfterValidator(lambda count: min(max(count, 0), MAX_TOKENS))]


class Usage(BaseModel):
    """Tokens as the provider counted them; `cached_prompt_tokens` are those of the prompt it had at hand."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    total_tokens: Tokens = 0
    cached_prompt_tokens: Tokens = 0


class ErrorDetail(BaseModel):
    """Why something failed: a stable `code` for programs, a `message` for people."""

    code: str
    message: str


class Attempt(BaseModel):
    """What one try at an answer met, before another was made: an upstream request, or a model passed over."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(description="Catalog id.")
    code: str = Field(description="The error's code; `circuit_open`, `offline` and `not_served` cost no request.")
    message: str
    latency_ms: float | None = Field(None, description="Null where nothing was sent.")


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
    cold_start_ms: float | None = Field(
        None, description="How long its model took to start; null where it ran already. Not part of the latency."
    )
    attempts: int = Field(0, description="Upstream requests made for this answer.")
    history: list[Attempt] = Field([], description="What each try before the last one met, oldest first.")
    cached: bool = Field(False, description="An equal call's answer: its usage is shown, and it cost nothing.")
    tool_calls: list[ToolCall] = []
    error: ErrorDetail | None = None

    @property
    def is_ok(self) -> bool:
        """Whether there is a text to work with."""
        return self.status == "completed"
