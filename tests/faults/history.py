"""What happened in one run, as plain values: what clients saw, what Postgres holds, what workers believe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """Something done to the deployment at a Unix time. `worker` is whose calls it hit, if it was one worker's.

    `over_at` is when the cause was gone, where it lasted.
    """

    kind: str
    at: float
    worker: str | None = None
    over_at: float | None = None

    @property
    def end(self) -> float:
        return self.at if self.over_at is None else self.over_at


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    status: str
    round: int
    asked: int
    created_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    job_id: str
    round: int
    position: int
    model: str
    status: str
    attempt: int
    error_code: str | None
    served_by: str | None
    started_at: float | None
    finished_at: float | None
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallStep:
    """One change of a call's row, as a trigger saw it; `before` is None for its insert."""

    at: float
    call_id: str
    before: str | None
    after: str
    attempt_before: int
    attempt_after: int
    worker: str | None


@dataclass(frozen=True, slots=True)
class JobStep:
    """One change of a job's row."""

    at: float
    job_id: str
    before: str | None
    after: str
    round_before: int
    round_after: int


@dataclass(frozen=True, slots=True)
class Write:
    """A result that a worker tried to record, and whether it was told that it counted."""

    at: float
    call_id: str
    attempt: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A submission that was answered something else than 202. `status` 0 is no answer at all."""

    at: float
    status: int
    has_retry_after: bool


@dataclass(slots=True)
class Reading:
    """What one SSE reader saw of one job: `(event id, event name, call)` in order."""

    job_id: str
    events: list[tuple[str, str, str | None]] = field(default_factory=list)
    resumptions: int = 0


@dataclass(slots=True)
class History:
    """One run. Times are Unix seconds of one machine's clock."""

    faults: list[Fault] = field(default_factory=list)
    acknowledged: dict[str, float] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    call_steps: Sequence[CallStep] = ()
    job_steps: Sequence[JobStep] = ()
    writes: Sequence[Write] = ()
    unknown_jobs: Sequence[str] = ()
    streams: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Event ids of each watched job up to its end, as far as Valkey still had them when all was over."""
    requests: int = 0
    questions: int = 0
    in_flight: list[int] = field(default_factory=list)
    """Calls that waited or ran when each fault was injected."""
