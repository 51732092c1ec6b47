"""What a plan asks for. Values: the runtime carries them out in their order, and those of a model stop with the first
that does not succeed. Every effect may be carried out twice: those that write rows compare before they set.
"""

from dataclasses import dataclass
from datetime import datetime

from common.fleet.contracts import Fault, Reservation, State


@dataclass(frozen=True, slots=True)
class Claim:
    """Make this node the model's, if it is still nobody's."""

    model: str


@dataclass(frozen=True, slots=True)
class Release:
    """Leave the model to whoever takes it, if it is still that node's: this one's, or one's that is lost."""

    model: str
    node: str


@dataclass(frozen=True, slots=True)
class Pull:
    """Begin to fetch the image and the weights, in the background; `Observed.pulls` tells how it goes."""

    model: str


@dataclass(frozen=True, slots=True)
class Create:
    """Make the container, once the row's generation was raised to this one from the one before it."""

    model: str
    generation: int
    spec: str
    reserved: Reservation


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container that was created."""

    model: str
    container: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Have it generate one token, in the background: then `proved_at` is set, else `fault`."""

    model: str
    container: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Wish the model stopped, if nobody has asked for it since `wanted_at`; else leave out what follows for it."""

    model: str
    wanted_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Remember reason and deadline in the instance's row, then have it end by itself (SIGTERM)."""

    model: str
    container: str
    stop_by: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Remind:
    """Tell it again to end (SIGTERM): it was to leave, and does not know."""

    model: str
    container: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Remember the reason in the instance's row, then end it at once (SIGKILL)."""

    model: str
    container: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a container that has ended, or was never started, and its row."""

    model: str
    container: str


@dataclass(frozen=True, slots=True)
class Show:
    """Write the model's state and the reason for it. `stopped` gives up the node's claim too."""

    model: str
    state: State
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Count a failure, once a generation: None is one before there was a container.

    The state becomes `queued` where it is tried again by itself (at `retry_at`), `failed` where it is not.
    """

    model: str
    generation: int | None
    spec: str | None
    state: State
    fault: Fault
    failures: int
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recover:
    """Forget past failures: it has been ready for long enough."""

    model: str


@dataclass(frozen=True, slots=True)
class Remember:
    """It takes more of its GPUs than it declared: the next one is placed by that."""

    model: str
    seen_bytes: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell those who asked until `wanted_at` that it will not start. Nothing is counted; who asks anew is heard."""

    model: str
    fault: Fault
    wanted_at: datetime | None


Effect = (
    Claim
    | Release
    | Pull
    | Create
    | Start
    | Probe
    | Retire
    | Drain
    | Remind
    | Kill
    | Remove
    | Show
    | Fail
    | Recover
    | Remember
    | Refuse
)
