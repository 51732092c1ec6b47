"""How a model stands: its row and its instance's, as both planes read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.fleet.contracts import Endpoint, Fault, State


@dataclass(frozen=True, slots=True)
class Standing:
    """A model at one moment. `endpoint` is there while calls may go to it; all times are Postgres' clock."""

    model: str
    state: State
    is_wanted: bool = False
    wanted_at: datetime | None = None
    reason: str | None = None
    progress: Mapping[str, Any] | None = None
    fault: Fault | None = None
    failed_at: datetime | None = None
    endpoint: Endpoint | None = None
    # when its node last looked at its instance
    seen_at: datetime | None = None

    def answer_to(self, wanted_at: datetime) -> Fault | None:
        """Why whoever asked then need not wait any longer; None while it may still become ready.

        A failure that is older was somebody else's answer. One that is tried again by itself is none yet.
        """
        if not self.is_wanted:
            return Fault("stopped", self.reason or "It was told to stop meanwhile.")
        if self.state is State.FAILED and self.failed_at is not None and self.failed_at > wanted_at:
            return self.fault or Fault("failed", self.reason or "It failed.")
        return None

    def shown(self) -> dict[str, Any]:
        """What those who wait are told."""
        return {"state": self.state.value, "reason": self.reason, "progress": self.progress}


def standing_of(row: Mapping[str, Any]) -> Standing:
    """A row of `wishes.look`."""
    endpoint = (
        Endpoint(row["base_url"], row["generation"], row["node"], tuple(row["gpu_uuids"])) if row["is_ready"] else None
    )
    return Standing(
        model=row["id"],
        state=State(row["state"]),
        is_wanted=row["is_wanted"],
        wanted_at=row["wanted_at"],
        reason=row["reason"],
        progress=row["progress"],
        fault=None if row["fault"] is None else Fault(**row["fault"]),
        failed_at=row["failed_at"],
        endpoint=endpoint,
        seen_at=row["seen_at"],
    )
