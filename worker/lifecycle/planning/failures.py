"""What a failure means for the next start."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.fleet.contracts import Desired, Fault, Instance, State
from worker.lifecycle.planning.effects import Fail, Refuse
from worker.lifecycle.planning.policy import Policy


@dataclass(frozen=True, slots=True)
class Backoff:
    """It is started again by itself, later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rest:
    """It failed, and whoever asked was told so: it rests until somebody asks anew."""


def backoff_seconds(failures: int, policy: Policy) -> float:
    """How long to wait after so many failures in a row: doubled each time, up to a bound."""
    # past 2^40 the bound has long been reached, and a float would end
    return min(policy.last_backoff_seconds, policy.first_backoff_seconds * 2.0 ** min(failures - 1, 40))


def failed(desired: Desired, fault: Fault, now: datetime, policy: Policy, *, instance: Instance | None = None) -> Fail:
    """Count a failure: of an instance, or of what comes before there is one. Another spec fails for the first time."""
    failures = desired.failures + 1 if desired.failed_spec == desired.spec else 1
    retry_at = None if fault.is_fatal else now + timedelta(seconds=backoff_seconds(failures, policy))
    gives_up = fault.is_fatal or failures >= policy.failures_to_give_up
    return Fail(
        model=desired.model,
        generation=None if instance is None else instance.generation,
        spec=desired.spec if instance is None else instance.spec,
        state=State.FAILED if gives_up else State.QUEUED,
        fault=fault,
        failures=failures,
        retry_at=retry_at,
    )


def has_asked(desired: Desired) -> bool:
    """Whether somebody may still wait for an answer: they have one where it failed, and nobody asked since."""
    if desired.state is not State.FAILED or desired.failed_at is None:
        return True
    return desired.wanted_at is not None and desired.wanted_at > desired.failed_at


def standing(desired: Desired, now: datetime, policy: Policy) -> Refuse | Backoff | Rest | None:
    """What past failures mean for a wanted model without an instance: None where it may start.

    1. A fatal fault of this very spec: who asks is refused.
    2. It failed a moment ago: it waits. One that was given up refuses who asks.
    3. It was given up or refused, and nobody asked since: it rests; a pinned one that was given up starts again.
    """
    is_failing = desired.failures > 0 and desired.failed_spec == desired.spec
    is_given_up = is_failing and desired.failures >= policy.failures_to_give_up
    fault = desired.fault or Fault("failed", desired.reason or "It failed.")
    if is_failing and fault.is_fatal:
        return Refuse(desired.model, fault, desired.wanted_at) if has_asked(desired) else Rest()
    if is_failing and desired.retry_at is not None and desired.retry_at > now:
        if not is_given_up:
            return Backoff(f"{fault.message} It is tried again at {desired.retry_at:%H:%M:%S}.")
        return Refuse(desired.model, fault, desired.wanted_at) if has_asked(desired) else Rest()
    if not has_asked(desired) and (desired.failures == 0 or (is_given_up and not desired.is_pinned)):
        return Rest()
    return None
