"""The wire shapes of models in containers: `/models /run /stop /status /inference /operations`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.contracts.analyses import ModelName, Prompt, StorableText
from common.contracts.calls import ErrorDetail, Usage
from common.contracts.jobs import JobStatus, Links

ModelState = Literal["stopped", "queued", "pulling", "starting", "ready", "draining", "failed"]

MODEL_EXAMPLE = "local-smollm2"


class RunRequest(BaseModel):
    """Start a model, or keep it running."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"model_id": MODEL_EXAMPLE}]})

    model_id: ModelName = Field(description="Id or alias; `local-` may be left out.")


class StopRequest(BaseModel):
    """Stop a model."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"model_id": MODEL_EXAMPLE, "drain_seconds": 10}]}
    )

    model_id: ModelName = Field(description="Id or alias; `local-` may be left out.")
    drain_seconds: float | None = Field(
        None, ge=0, le=3600, description="What calls in flight are given; the model's own time if left out."
    )
    force: bool = Field(False, description="End it at once, whatever it is doing.")


class OperationLinks(BaseModel):
    self: str
    events: str


class OperationAccepted(BaseModel):
    """What was asked for goes on by itself. Without an operation it was so already."""

    operation_id: str | None
    model_id: str
    state: ModelState
    links: OperationLinks | None


class OperationProgress(BaseModel):
    """Where the model is. `details` are those of a phase: of `pulling` the bytes that are here and those in all."""

    phase: ModelState
    reason: str | None
    details: dict[str, Any] | None


class OperationDocument(BaseModel):
    """A model's start or stop."""

    operation_id: str
    kind: Literal["run", "stop"]
    model_id: str
    status: JobStatus
    created_at: str
    started_at: str | None
    finished_at: str | None
    progress: OperationProgress | None = Field(description="Null once it has ended.")
    result: dict[str, Any] | None
    error: ErrorDetail | None
    links: OperationLinks


class RegisteredModel(BaseModel):
    """A model of `config/models.yaml` that runs in a container, and how it stands."""

    model_id: str
    aliases: list[str]
    description: str | None
    source: dict[str, str]
    engine: str
    context_window: int
    capabilities: list[str]
    slots: int = Field(description="Calls that it works on at once.")
    memory_bytes: int = Field(description="What it is said to take.")
    gpu: Literal["none", "auto"] | int
    ttl_seconds: float | None = Field(description="It stops after so long without a call; null: never.")
    pinned: bool
    state: ModelState
    reason: str | None


class Registry(BaseModel):
    """Every model that can be started here."""

    data: list[RegisteredModel]


class InstanceStatus(BaseModel):
    """A model and its container. What only a running one has is null."""

    model_id: str
    desired: Literal["running", "stopped"]
    state: ModelState
    reason: str | None
    progress: dict[str, Any] | None
    endpoint: str | None
    node: str | None
    gpu: list[str] = Field(description="UUIDs of the GPUs that hold it.")
    memory_bytes: int | None
    gpu_memory_bytes: int | None
    in_flight: int | None
    waiting: int | None
    idle_seconds: float | None = Field(description="Since its last call ended; null while it is at work.")
    restarts: int
    last_error: ErrorDetail | None
    started_at: str | None
    seen_at: str | None


class GpuStatus(BaseModel):
    uuid: str
    node: str
    index: int
    name: str
    total_bytes: int
    used_bytes: int = Field(description="Everybody's.")
    free_bytes: int = Field(description="What another model may be given.")
    utilisation: float | None
    seen_at: str


class NodeStatus(BaseModel):
    """A machine with a lifecycle worker."""

    node: str
    is_live: bool = Field(description="Whether its worker was heard of within a minute.")
    limit_bytes: int = Field(description="What models may take of it together.")
    free_bytes: int
    available_bytes: int | None = Field(description="What the system could hand out; null where that is not known.")
    seen_at: str


class HostStatus(BaseModel):
    """The living nodes together."""

    nodes: list[NodeStatus]
    limit_bytes: int
    free_bytes: int


class FleetStatus(BaseModel):
    """Every model of the registry, and what it runs on."""

    models: list[InstanceStatus]
    gpus: list[GpuStatus]
    host: HostStatus


class InferenceRequest(BaseModel):
    """One prompt for one model in a container, which is started if need be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"model_id": MODEL_EXAMPLE, "prompt": "Why is the sky blue?"}]},
    )

    model_id: ModelName = Field(description="Id or alias; `local-` may be left out.")
    prompt: Prompt
    system: StorableText | None = Field(None, max_length=100_000)
    max_tokens: int | None = Field(None, ge=1, le=131_072)
    temperature: float | None = Field(None, ge=0, le=2)
    timeout_seconds: float | None = Field(
        None, gt=0, le=3600, description="Of the model's own work; the time until it is ready is not counted."
    )


class InferenceDocument(BaseModel):
    """What the model said."""

    model_id: str
    response: str
    finish_reason: str | None
    usage: Usage | None
    latency_ms: float | None = Field(description="Of the model's own work, from the request to the last token.")
    cold_start: bool = Field(description="Whether the model had to be started for this.")
    cold_start_ms: float | None = Field(description="How long that took; null if it ran already.")
    job_id: str


class InferenceAccepted(BaseModel):
    """It goes on: poll the job, or watch its events."""

    id: str
    status: JobStatus
    model_id: str
    created_at: str
    links: Links


class LogLineDocument(BaseModel):
    at: str | None
    stream: Literal["stdout", "stderr"]
    text: str


class LogsDocument(BaseModel):
    """What a model's container wrote last, oldest line first."""

    model_id: str
    container: str
    lines: list[LogLineDocument]


Tail = Annotated[int, Field(ge=1, le=2000, description="So many lines, the newest.")]
