"""The line of those that want to start, and who has to leave for them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from common.fleet.contracts import Desired, Fault, Instance, Node, Observed, Reservation, State
from worker.lifecycle.planning.claiming import could_elsewhere, should_claim
from worker.lifecycle.planning.effects import Claim, Create, Effect, Pull, Refuse, Release
from worker.lifecycle.planning.failures import Backoff, Rest, failed, has_asked, standing
from worker.lifecycle.planning.ledger import Room, charge
from worker.lifecycle.planning.placement import Need, make_room, need_of, place, shortage
from worker.lifecycle.planning.policy import Policy
from worker.lifecycle.planning.tending import retire, show

# How the reason of those begins who leave for another.
MAKES_ROOM = "Makes room for"


@dataclass(frozen=True, slots=True)
class Idle:
    """An instance that may leave: nobody uses it, and nobody pinned it."""

    instance: Instance
    desired: Desired
    since: datetime
    charged: Reservation


@dataclass(slots=True)
class Line:
    """The models that wait, served in the order of their asking.

    `now` is what may be handed out at once, `ahead` what there will be when all who leave have left, less what those
    in front are waiting for. Nobody is given what is not in both: so those in front are never overtaken by who takes
    their room, and nothing is handed out twice. A model in front that can only wait for busy ones lets others pass,
    and after a while nobody who would take what it waits for; when its askers have given up, it is refused.
    """

    node: str
    at: datetime
    policy: Policy
    observed: Observed
    peers: Sequence[Node]
    capacity: Room
    shown: Room  # what is free, as the other nodes are told: all have to judge alike who takes a model
    now: Room
    ahead: Room
    # UUIDs of GPUs that load a model, and how many load on the host
    loading_gpus: set[str]
    loads: int
    idle: list[Idle]  # the longest idle first
    leaving: dict[str, Instance]  # by container
    # who lets nobody pass any more, by what it waits for
    stoppers: dict[Literal["host", "gpu"], str] = field(default_factory=dict, init=False)

    def serve(self, desired: Desired) -> list[Effect]:  # noqa: PLR0911  # a decision tree
        """The next step of a wanted model without an instance, that is this node's or nobody's.

        1. what failed waits or is refused; 2. what fits nowhere is refused, and what fits elsewhere is left to others;
        3. who has no node is claimed; 4. what is not here is pulled; 5. what fits starts, or waits for its room.
        """
        match standing(desired, self.at, self.policy):
            case Backoff(reason):
                return show(desired, State.QUEUED, reason)
            case Rest():
                return []
            case None:
                pass
            case refusal:
                return [refusal]
        need = need_of(desired, self.capacity, self.policy)
        if place(need, self.capacity, self.policy) is None:
            return self._fits_not(desired, need)
        if desired.node != self.node:
            is_ours = should_claim(desired, need, self.shown, self.peers, self.policy)
            return [Claim(desired.model)] if is_ours else []
        if desired.model not in self.observed.present:
            return self._pull(desired)
        return self._start(desired, need)

    def _fits_not(self, desired: Desired, need: Need) -> list[Effect]:
        if could_elsewhere(desired, self.peers, self.policy):
            return [Release(desired.model, self.node)] if desired.node == self.node else []
        if not has_asked(desired):
            return []
        message = f"{desired.model} fits nowhere: it {shortage(need, self.capacity, self.policy)}."
        return [Refuse(desired.model, Fault("does_not_fit", message), desired.wanted_at)]

    def _pull(self, desired: Desired) -> list[Effect]:
        if desired.model not in self.observed.pulls:
            return [Pull(desired.model), *show(desired, State.PULLING)]
        fault = self.observed.pulls[desired.model]
        if fault is None:
            return show(desired, State.PULLING)
        return [failed(desired, fault, self.at, self.policy)]

    def _start(self, desired: Desired, need: Need) -> list[Effect]:
        stopper = self.stoppers.get("host") or (self.stoppers.get("gpu") if need.gpus else None)
        if stopper is not None:
            return show(desired, State.QUEUED, f"Behind {stopper}, which has waited longer for room.")
        room = self.now.within(self.ahead)
        if (found := place(need, room.without_gpus(self.loading_gpus), self.policy)) is not None:
            if need.gpus or self.loads < self.policy.host_loads:
                return self._create(desired, found)
            return self._wait(desired, found, "Others are loading.")
        if (found := place(need, room, self.policy)) is not None:
            return self._wait(desired, found, "Another model is loading on the GPU.")
        return self._evict(desired, need)

    def _create(self, desired: Desired, found: Reservation) -> list[Effect]:
        cost = charge(found, self.policy)
        self.now, self.ahead = self.now.minus(cost), self.ahead.minus(cost)
        self.loading_gpus |= set(found.gpu_uuids)
        self.loads += not found.gpu_uuids
        assert desired.spec is not None
        return [Create(desired.model, desired.generation + 1, desired.spec, found), *show(desired, State.STARTING)]

    def _wait(self, desired: Desired, found: Reservation, reason: str) -> list[Effect]:
        """Its room is kept for it."""
        self.ahead = self.ahead.minus(charge(found, self.policy))
        return show(desired, State.QUEUED, reason)

    def _evict(self, desired: Desired, need: Need) -> list[Effect]:
        """Nobody has to go where those who leave already make room enough."""
        leavers = [(one.instance.container, one.charged) for one in self.idle]
        made = make_room(need, self.ahead, leavers, self.policy)
        if made is None:
            return self._be_patient(desired, need)
        names, found = made
        effects: list[Effect] = []
        for one in [one for one in self.idle if one.instance.container in names]:
            effects += retire(one.desired, one.instance, f"{MAKES_ROOM} {desired.model}.", self.at)
            self.ahead = self.ahead.plus(one.charged)
            self.idle.remove(one)
            self.leaving[one.instance.container] = one.instance
        return [*effects, *self._wait(desired, found, _waits_for(one.model for one in self.leaving.values()))]

    def _be_patient(self, desired: Desired, need: Need) -> list[Effect]:
        """Nobody can leave for it."""
        if self._has_passed(desired.wanted_at, desired.load_seconds):
            message = f"{desired.model} found no room in time: it {shortage(need, self.ahead, self.policy)}."
            return [Refuse(desired.model, Fault("no_room", message), desired.wanted_at)]
        if self._has_passed(desired.queued_at or desired.wanted_at, self.policy.patience_seconds):
            if not should_claim(desired, need, self.shown, self.peers, self.policy):
                return [Release(desired.model, self.node)]
            host = charge(need.on(()), self.policy).host_bytes
            self.stoppers["gpu" if need.gpus and host <= self.ahead.host_bytes else "host"] = desired.model
            self.ahead = replace(self.ahead, host_bytes=self.ahead.host_bytes - host)
        return show(desired, State.QUEUED, "Waits for memory: what holds it is at work, pinned, or just started.")

    def _has_passed(self, since: datetime | None, seconds: float) -> bool:
        return since is not None and self.at - since >= timedelta(seconds=seconds)


def _waits_for(models: Iterable[str]) -> str:
    return f"Waits for {', '.join(sorted(set(models)))} to leave."
