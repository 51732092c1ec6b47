"""What to do about the instance that a model has. One model at a time; who needs room is `starting`'s business."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.catalog.local import MIB
from common.fleet.contracts import Desired, Fault, Instance, Observed, State
from worker.lifecycle.planning.effects import (
    Drain,
    Effect,
    Kill,
    Probe,
    Recover,
    Remember,
    Remind,
    Remove,
    Retire,
    Show,
    Start,
)
from worker.lifecycle.planning.failures import failed
from worker.lifecycle.planning.policy import Policy

# A little more than before is not worth a write.
PEAK_STEP_BYTES = 64 * MIB

GONE = "The catalog has no such model any more."


@dataclass(frozen=True, slots=True)
class Moment:
    """When and where a plan is made."""

    now: datetime
    observed: Observed
    gpu_uuids: Collection[str]
    policy: Policy


def tend(desired: Desired, instance: Instance, moment: Moment) -> list[Effect]:  # noqa: PLR0911  # a decision tree
    """The next step of an instance that is the model's own:

    1. it has ended: count a failure if it was none of our doing, and remove it;
    2. it is to end, and does not in time: kill it;
    3. it should not run: have it end;
    4. it is on its way to ready: start it, probe it, give it up;
    5. it is ready: look after it.
    """
    match instance.status:
        case "exited":
            return _ended(desired, instance, moment)
        case _ if instance.stop_by is not None:
            return _leaving(desired, instance, instance.stop_by, moment.now)
        case _ if (reason := _why_not(desired, instance)) is not None:
            return _stop(desired, instance, reason, moment.now)
        case _ if not set(instance.reserved.gpu_uuids) <= set(moment.gpu_uuids):
            return _give_up(desired, instance, Fault("gpu_lost", "A GPU that it ran on is gone."), moment)
        case "created":
            return [Start(desired.model, instance.container), *show(desired, State.STARTING)]
    if instance.generation <= desired.failed_generation:  # it was counted, and whoever was to kill it did not
        return [Kill(desired.model, instance.container, "failed")]
    if (fault := _fault(desired, instance, moment)) is not None:
        return _give_up(desired, instance, fault, moment)
    if instance.proved_at is None:
        is_loaded = instance.health is not None and instance.health.status == "ready"
        probe: list[Effect] = [Probe(desired.model, instance.container)] if is_loaded else []
        return [*probe, *show(desired, State.STARTING)]
    return _ready(desired, instance, instance.proved_at, moment)


def idle_since(instance: Instance, observed: Observed) -> datetime | None:
    """Since when a ready instance has had nothing to do; None while it works, or does not say."""
    idle_seconds = _idle_seconds(instance)
    if instance.proved_at is None or idle_seconds is None:
        return None
    return max(observed.taken_at - timedelta(seconds=idle_seconds), instance.proved_at)


def show(desired: Desired, state: State, reason: str | None = None) -> list[Effect]:
    """The state, unless it is known already."""
    is_known = (desired.state, desired.reason) == (state, reason)
    return [] if is_known else [Show(desired.model, state, reason)]


def _ended(desired: Desired, instance: Instance, moment: Moment) -> list[Effect]:
    remove = Remove(desired.model, instance.container)
    is_ours = instance.stop_reason is not None or instance.generation <= desired.failed_generation
    if is_ours or not desired.is_wanted:
        return [remove]
    fault = instance.fault or Fault("crashed", "The container ended by itself.")
    return [failed(desired, fault, moment.now, moment.policy, instance=instance), remove]


def _leaving(desired: Desired, instance: Instance, stop_by: datetime, now: datetime) -> list[Effect]:
    if instance.status == "created":
        return [Remove(desired.model, instance.container)]
    if now >= stop_by or (desired.is_forced and not desired.is_wanted):
        return [Kill(desired.model, instance.container, instance.stop_reason or "stopped")]
    # Whoever was to tell it died over that, or the engine did. One at work is let be: to some a second word is "now".
    is_deaf = _idle_seconds(instance) is not None
    reminder: list[Effect] = [Remind(desired.model, instance.container)] if is_deaf else []
    has_failed = instance.generation <= desired.failed_generation  # which is told already, and worth more
    return reminder if has_failed else [*reminder, *show(desired, State.DRAINING, instance.stop_reason)]


def _idle_seconds(instance: Instance) -> float | None:
    """For how long it has been ready, and had nothing to do; None while it works, leaves, or does not say."""
    health = instance.health
    return None if health is None or health.status != "ready" or health.is_busy else health.idle_seconds


def _why_not(desired: Desired, instance: Instance) -> str | None:
    if desired.spec is None:
        return GONE
    if not desired.is_wanted:
        return desired.reason or "Stopped."
    return None if instance.spec == desired.spec else "Its entry in the catalog changed."


def _stop(desired: Desired, instance: Instance, reason: str, now: datetime) -> list[Effect]:
    if instance.status == "created":
        return [Remove(desired.model, instance.container)]
    if desired.is_forced and not desired.is_wanted:
        return [Kill(desired.model, instance.container, reason), *show(desired, State.DRAINING, reason)]
    stop_by = now + timedelta(seconds=desired.drain_seconds)
    return [Drain(desired.model, instance.container, stop_by, reason), *show(desired, State.DRAINING, reason)]


def _fault(desired: Desired, instance: Instance, moment: Moment) -> Fault | None:
    """What is wrong with a running instance."""
    policy, now = moment.policy, moment.now
    if instance.fault is not None:
        return instance.fault
    if instance.health is not None and instance.health.status == "failed":
        return Fault("runner_failed", instance.health.error or "The runner says that it has failed.")
    began = instance.started_at or instance.created_at
    if instance.proved_at is None:
        is_late = now - began >= timedelta(seconds=desired.load_seconds)
        return Fault("load_timeout", f"It was not ready within {desired.load_seconds:g} s.") if is_late else None
    silent_since = instance.silent_since
    if silent_since is not None and now - silent_since >= timedelta(seconds=policy.silence_seconds):
        return Fault("silent", f"Its runner did not answer for {policy.silence_seconds:g} s.")
    return None


def _give_up(desired: Desired, instance: Instance, fault: Fault, moment: Moment) -> list[Effect]:
    """Count first: if we die between the two, it is killed by whoever comes next, and counted once."""
    return [
        failed(desired, fault, moment.now, moment.policy, instance=instance),
        Kill(desired.model, instance.container, fault.code),
    ]


def _ready(desired: Desired, instance: Instance, proved_at: datetime, moment: Moment) -> list[Effect]:
    if instance.health is not None and instance.health.status == "draining":
        return show(desired, State.DRAINING, "Somebody else told it to stop.")
    idle = idle_since(instance, moment.observed)
    if idle is not None and desired.ttl_seconds is not None and not desired.is_pinned:
        since = max(idle, desired.wanted_at or idle)
        if moment.now - since >= timedelta(seconds=desired.ttl_seconds):
            return retire(desired, instance, f"Idle for {desired.ttl_seconds:g} s.", moment.now)
    is_well = moment.now - proved_at >= timedelta(seconds=moment.policy.healthy_seconds)
    recovery: list[Effect] = [Recover(desired.model)] if desired.failures and is_well else []
    return [*recovery, *_remember(desired, instance), *show(desired, State.READY)]


def _remember(desired: Desired, instance: Instance) -> list[Effect]:
    seen = 0 if instance.health is None else instance.health.gpu_memory_bytes or 0
    known = max(desired.memory_bytes, desired.seen_bytes)
    return [Remember(desired.model, seen)] if seen > known + PEAK_STEP_BYTES else []


def retire(desired: Desired, instance: Instance, reason: str, now: datetime) -> list[Effect]:
    """Have an idle instance end, unless somebody asks for it meanwhile."""
    stop_by = now + timedelta(seconds=desired.drain_seconds)
    return [
        Retire(desired.model, desired.wanted_at, reason),
        Drain(desired.model, instance.container, stop_by, reason),
        Show(desired.model, State.DRAINING, reason),
    ]
