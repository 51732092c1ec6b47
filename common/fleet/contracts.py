"""The words in which lifecycle workers, runners and both planes speak of models in containers.

A *wish* is a row of `models`: what somebody asked for. An *instance* is a container. What is *observed* was read
from Docker, the runners and NVML at one moment, and rows say what Docker cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.storable import storable

# Labels of every container of ours. One that carries another installation's is never touched.
LABEL_INSTALLATION = "ultra.installation"
LABEL_NODE = "ultra.node"
LABEL_MODEL = "ultra.model"
LABEL_GENERATION = "ultra.generation"
LABEL_SPEC = "ultra.spec"
# What it was given, so that a restarted worker counts it as it was and not as the catalog has it by now.
LABEL_HOST_BYTES = "ultra.host_bytes"
LABEL_GPU_BYTES = "ultra.gpu_bytes"  # on each of its GPUs
LABEL_GPUS = "ultra.gpus"  # UUIDs, with commas between

RUNNER_PORT = 8000

# A lifecycle worker says every few seconds that it lives. After this its models are others' to start.
NODE_LOST_SECONDS = 60.0
# After this it is gone for good, with what was known of its GPUs and containers. One that comes back is a new one.
NODE_FORGOTTEN_SECONDS = 7 * 86_400.0

# What a container says of itself may be anything. These are more than is ever true, and small enough to be summed,
# stored and made a span of time of: one container's nonsense must not end the planning of its whole node.
MAX_BYTES = 1 << 50
MAX_CALLS = 1_000_000
MAX_SECONDS = 1e9
Bytes = Annotated[int, Field(ge=0, le=MAX_BYTES)]
Calls = Annotated[int, Field(ge=0, le=MAX_CALLS)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]


class State(StrEnum):
    """Of a model, as callers see it."""

    STOPPED = "stopped"
    QUEUED = "queued"
    PULLING = "pulling"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class RunnerHealth(BaseModel):
    """`GET /health` of a runner: it does the work, so it counts the work. Unknown fields are let pass."""

    model_config = ConfigDict(frozen=True)

    status: Literal["loading", "ready", "draining", "failed"]
    in_flight: Calls = 0
    waiting: Calls = 0
    idle_seconds: Seconds | None = Field(None, description="Since the last call ended, or it was ready; null: busy.")
    memory_bytes: Bytes = 0
    gpu_memory_bytes: Bytes | None = None
    load_seconds: Seconds | None = None
    error: Annotated[str, AfterValidator(storable)] | None = Field(None, max_length=2000)

    @property
    def is_busy(self) -> bool:
        return self.in_flight > 0 or self.waiting > 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something did not work, in a word for programs and a sentence for people.

    `is_fatal`: time does not heal it; it is not tried again until the model's entry changes.
    """

    code: str
    message: str
    is_fatal: bool = False

    def __post_init__(self) -> None:
        # It quotes containers, and is stored.
        object.__setattr__(self, "message", storable(self.message))


# What a runner's exit code says (runner/). Memory may be free another time, a file that is not there stays away.
FAULT_OF_EXIT: Mapping[int, tuple[str, bool]] = {
    3: ("model_missing", True),
    4: ("out_of_memory", False),
    5: ("bad_dtype", True),
    6: ("load_failed", False),
    7: ("engine_failed", False),
}


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an instance may take: of the host, and of each of its GPUs."""

    host_bytes: int
    gpu_bytes: int = 0
    gpu_uuids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """A container of ours on this node, as it was observed.

    `stop_reason`, `stop_by` and `proved_at` are remembered in its row; the rest comes from Docker and the runner.
    """

    container: str  # Docker's id
    model: str
    generation: int
    spec: str
    node: str
    reserved: Reservation
    status: Literal["created", "running", "exited"]
    created_at: datetime
    started_at: datetime | None = None
    # What the runner says; None while it says nothing, `silent_since` says since when.
    health: RunnerHealth | None = None
    silent_since: datetime | None = None
    # When it generated its first token for us: from then on calls go to it.
    proved_at: datetime | None = None
    # What is wrong: of a running one the last probe says it; one that has ended always has it.
    fault: Fault | None = None
    exit_code: int | None = None
    # Why and until when we let it stop; an exit without was none of ours.
    stop_reason: str | None = None
    stop_by: datetime | None = None

    @property
    def is_loading(self) -> bool:
        """On its way to ready: its memory still grows."""
        return self.status != "exited" and self.proved_at is None and self.stop_by is None

    @property
    def is_leaving(self) -> bool:
        """Its memory will be free without anybody doing more."""
        return self.status == "exited" or self.stop_by is not None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of a node. `used_bytes` are everybody's, ours and others'."""

    uuid: str
    index: int
    name: str
    total_bytes: int
    used_bytes: int
    utilisation: float | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The machine of a lifecycle worker: what its models may take together, and what is free just now."""

    node: str
    installation: UUID
    limit_bytes: int
    available_bytes: int | None = None  # what the system could hand out now; None: not known


@dataclass(frozen=True, slots=True)
class GpuRoom:
    """Of a GPU: what one more model could ever have, and what it could have now."""

    capacity_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as the others see it: what one more model could ever have there, and what it could have now."""

    name: str
    seen_at: datetime
    capacity_bytes: int
    free_bytes: int
    gpus: tuple[GpuRoom, ...] = ()  # in the order of their indices


@dataclass(frozen=True, slots=True)
class Desired:
    """A model: its entry in the catalog, what was wished, and what is remembered of it.

    `spec` is None where the catalog has no such entry any more.
    """

    model: str
    spec: str | None
    is_wanted: bool = False
    # when somebody last asked for it, and when the asking that is not yet met began
    wanted_at: datetime | None = None
    queued_at: datetime | None = None
    # how it is to stop: at once, or within so many seconds
    is_forced: bool = False
    drain_seconds: float = 30

    memory_bytes: int = 0
    host_memory_bytes: int = 0
    seen_bytes: int = 0  # the most that an instance of it was seen to take of its GPUs
    gpu: Literal["none", "auto"] | int = "none"
    ttl_seconds: float | None = 300
    is_pinned: bool = False
    load_seconds: float = 600

    node: str | None = None  # who has claimed it
    generation: int = 0
    state: State = State.STOPPED
    reason: str | None = None
    # failures in a row, of which generation the last one was, and of which spec
    failures: int = 0
    failed_at: datetime | None = None
    failed_generation: int = 0
    failed_spec: str | None = None
    fault: Fault | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """A node at one moment. `read_at`: when the rows were read, which has to be after Docker was looked at."""

    taken_at: datetime
    read_at: datetime
    instances: tuple[Instance, ...] = ()
    # models without a container whose image and weights are here; those that are fetched, or a fault that ended it
    present: frozenset[str] = frozenset()
    pulls: Mapping[str, Fault | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a ready model answers: a new generation is another container."""

    base_url: str
    generation: int
    node: str
    gpu_uuids: tuple[str, ...] = ()
