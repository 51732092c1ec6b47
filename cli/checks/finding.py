"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report. `next_step` says what to do about a warning or a failure."""

    name: str
    status: Status
    detail: str
    next_step: str | None = None


def ok(name: str, detail: str) -> Finding:
    return Finding(name, "ok", detail)


def warn(name: str, detail: str, next_step: str) -> Finding:
    """It works, but not as it should, or not everything does."""
    return Finding(name, "warn", detail, next_step)


def fail(name: str, detail: str, next_step: str) -> Finding:
    """It does not work."""
    return Finding(name, "fail", detail, next_step)


def worst(findings: Iterable[Finding]) -> Status:
    """The status of all of them together."""
    statuses = {finding.status for finding in findings}
    return "fail" if "fail" in statuses else "warn" if "warn" in statuses else "ok"
