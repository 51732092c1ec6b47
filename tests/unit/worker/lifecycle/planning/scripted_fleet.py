"""Machines, containers and the tables as values, with a clock that only moves when told: `plan` is tried on them.

Effects are carried out as the real runtime does: those that compare before they set do so here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from common.catalog.local import GIB, MIB
from common.fleet.contracts import (
    FAULT_OF_EXIT,
    Desired,
    Fault,
    Gpu,
    Host,
    Instance,
    Observed,
    Reservation,
    RunnerHealth,
    State,
)
from worker.lifecycle.planning import effects as told
from worker.lifecycle.planning.effects import Effect
from worker.lifecycle.planning.plan import account, plan
from worker.lifecycle.planning.policy import Policy

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTALLATION = UUID(int=1)
POLICY = Policy()


@dataclass(slots=True)
class Call:
    """Somebody's request: it waits for its model, is worked on, and ends answered or refused."""

    model: str
    asked_at: datetime
    seconds: float
    wished_at: datetime
    ends_at: datetime | None = None
    container: str | None = None
    outcome: str | None = None


@dataclass(slots=True)
class Container:
    """What Docker and the runner know of one."""

    instance: Instance
    load_seconds: float
    takes_bytes: int  # of the host, or of each of its GPUs
    calls: list[Call] = field(default_factory=list)
    idle_since: datetime | None = None
    is_silent: bool = False
    told_at: datetime | None = None

    @property
    def is_up(self) -> bool:
        return self.instance.status == "running"

    @property
    def is_serving(self) -> bool:
        return self.is_up and self.instance.proved_at is not None and self.instance.stop_by is None


@dataclass(slots=True)
class Machine:
    """A node."""

    name: str
    limit_bytes: int
    gpus: dict[str, int] = field(default_factory=dict)  # UUID and size
    of_others: dict[str, int] = field(default_factory=dict)  # what other processes hold of them
    is_alive: bool = True
    seen_at: datetime = START
    is_stale: bool = False  # what it observes is old
    was_away: bool = False
    engine: str = ""  # nodes with the same see each other's containers

    def __post_init__(self) -> None:
        self.engine = self.engine or self.name


class ScriptedFleet:
    """The whole fleet."""

    def __init__(self, *machines: Machine, models: Sequence[Desired], policy: Policy = POLICY) -> None:
        self.now = START
        self.policy = policy
        self.machines = {machine.name: machine for machine in machines}
        self.rows = {row.model: row for row in models}
        self.containers: dict[str, Container] = {}
        self.calls: list[Call] = []
        self.present: set[str] | None = None  # None: every model is everywhere
        self.pulls: dict[str, Fault | None] = {}
        self.load_seconds = 2.0
        self.leave_seconds = 0.0
        self.loses_signals = False  # as when the engine dies before it hands them on
        self.exits_of: dict[str, int] = {}  # models that end while they load, with this code
        self.takes: dict[str, int] = {}  # models that take another amount than they declare
        self.log: list[Effect] = []
        self._names = count(1)

    # What people do

    def ask(self, model: str, seconds: float = 1.0) -> Call:
        call = Call(model, self.now, seconds, self.now)
        self.calls.append(call)
        self._wish(call)
        return call

    def stop(self, model: str, *, is_forced: bool = False) -> None:
        self.change(model, is_wanted=False, is_forced=is_forced, reason=None)

    def change(self, model: str, **fields: object) -> None:
        self.rows[model] = replace(self.rows[model], **fields)  # type: ignore[arg-type]

    # What goes wrong

    def end(self, container: str, exit_code: int = 137) -> None:
        one = self.containers[container]
        code, is_fatal = FAULT_OF_EXIT.get(exit_code, ("crashed", False))
        fault = Fault(code, f"Ended with {exit_code}.", is_fatal)
        one.instance = replace(one.instance, status="exited", exit_code=exit_code, fault=fault, health=None)
        for call in one.calls:  # whoever was served there asks again
            call.ends_at = call.container = None
            self._wish(call)
        one.calls.clear()

    # What time does

    def advance(self, seconds: float, step: float = 0.5) -> None:
        """Let time go by, every node planning at each step."""
        end = self.now + timedelta(seconds=seconds)
        self.settle()
        while self.now < end:
            self.now = min(end, self.now + timedelta(seconds=step))
            self.settle()

    def settle(self) -> None:
        """Do what is to be done at this moment, until nobody has anything to do."""
        for machine in self.machines.values():
            machine.seen_at = self.now if machine.is_alive else machine.seen_at
        self._work()
        for _ in range(60):
            done = [effect for machine in self.machines.values() if machine.is_alive for effect in self.turn(machine)]
            self._work()
            if not done:
                return
        raise AssertionError(f"no end of effects: {self.log[-10:]}")

    def turn(self, machine: Machine) -> list[Effect]:
        """One plan of one node, carried out."""
        effects = self.plan(machine)
        self._carry_out(machine, effects)
        return effects

    def plan(self, machine: Machine) -> list[Effect]:
        peers = [
            replace(
                account(list(self.rows.values()), self.observe(one), *self._ground(one), self.now), seen_at=one.seen_at
            )
            for one in self.machines.values()
            if one.name != machine.name
        ]
        return plan(
            list(self.rows.values()), self.observe(machine), *self._ground(machine), self.now,
            peers=peers, policy=self.policy,
        )  # fmt: skip

    # What can be seen

    def observe(self, machine: Machine) -> Observed:
        on_it = {one.name for one in self.machines.values() if one.engine == machine.engine}
        mine = [self._seen(one) for one in self.containers.values() if one.instance.node in on_it]
        age = timedelta(seconds=60 if machine.is_stale else 0)
        present = frozenset(self.rows) if self.present is None else frozenset(self.present)
        return Observed(self.now - age, self.now, tuple(mine), present, dict(self.pulls))

    def container_of(self, model: str) -> Container:
        [one] = [one for one in self.containers.values() if one.instance.model == model and one.is_up]
        return one

    def own(self, row: Desired) -> Container | None:
        """The container that calls go to."""
        of_row = (row.model, row.generation, row.node)
        for one in self.containers.values():
            if (one.instance.model, one.instance.generation, one.instance.node) == of_row:
                return one
        return None

    def state_of(self, model: str) -> State:
        return self.rows[model].state

    def reason_of(self, model: str) -> str:
        return self.rows[model].reason or ""

    def _ground(self, machine: Machine) -> tuple[list[Gpu], Host]:
        gpus = [
            Gpu(uuid, index, "Scripted", size, self._used(uuid) + machine.of_others.get(uuid, 0))
            for index, (uuid, size) in enumerate(machine.gpus.items())
        ]
        return gpus, Host(machine.name, INSTALLATION, machine.limit_bytes)

    def _used(self, uuid: str) -> int:
        up = [one for one in self.containers.values() if one.is_up and uuid in one.instance.reserved.gpu_uuids]
        return sum(one.takes_bytes for one in up)

    def _seen(self, one: Container) -> Instance:
        if not one.is_up or one.is_silent:
            return one.instance
        reserved, is_ready = one.instance.reserved, one.idle_since is not None
        idle = None if one.calls or one.idle_since is None else (self.now - one.idle_since).total_seconds()
        health = RunnerHealth(
            status="draining" if one.told_at else ("ready" if is_ready else "loading"),
            in_flight=len(one.calls),
            idle_seconds=idle,
            memory_bytes=min(reserved.host_bytes, one.takes_bytes),
            gpu_memory_bytes=one.takes_bytes * len(reserved.gpu_uuids) if reserved.gpu_uuids else None,
        )
        return replace(one.instance, health=health)

    # What happens by itself

    def _work(self) -> None:
        for one in list(self.containers.values()):
            if one.is_up:
                self._run(one)
        for call in self.calls:
            if call.outcome is None and call.container is None:
                self._serve(call)

    def _run(self, one: Container) -> None:
        for call in [call for call in one.calls if call.ends_at is not None and call.ends_at <= self.now]:
            one.calls.remove(call)
            call.outcome, one.idle_since = "answered", self.now
        started = one.instance.started_at
        assert started is not None
        if one.idle_since is None and self.now - started >= timedelta(seconds=one.load_seconds):
            if (code := self.exits_of.get(one.instance.model)) is not None:
                self.end(one.instance.container, code)
                return
            one.idle_since = self.now
        if (
            one.told_at is not None
            and not one.calls
            and self.now >= one.told_at + timedelta(seconds=self.leave_seconds)
        ):
            self.end(one.instance.container, 0)

    def _serve(self, call: Call) -> None:
        row = self.rows[call.model]
        own = self.own(row)
        if row.state is State.READY and own is not None and own.is_serving:
            call.container, call.ends_at = own.instance.container, self.now + timedelta(seconds=call.seconds)
            own.calls.append(call)
        elif (
            row.state is State.FAILED and row.failed_at is not None and row.failed_at >= call.wished_at
        ) or not row.is_wanted:
            call.outcome = f"refused: {row.reason}"

    def _wish(self, call: Call) -> None:
        row = self.rows[call.model]
        call.wished_at = self.now
        is_met = not (row.is_wanted and row.state in {State.QUEUED, State.PULLING, State.STARTING})
        self.change(
            call.model, is_wanted=True, wanted_at=self.now, is_forced=False,
            queued_at=self.now if is_met else row.queued_at,
            state=State.QUEUED if row.state is State.STOPPED else row.state,
            reason=None if row.state is State.STOPPED else row.reason,
        )  # fmt: skip

    # Effects

    def _carry_out(self, machine: Machine, effects: Sequence[Effect]) -> None:
        stopped: set[str] = set()
        for effect in effects:
            self.log.append(effect)
            if effect.model not in stopped and not self._do(machine, effect):
                stopped.add(effect.model)

    def _do(self, machine: Machine, effect: Effect) -> bool:  # noqa: C901, PLR0911, PLR0912, PLR0915
        row = self.rows.get(effect.model)
        is_ours = row is not None and row.node in {None, machine.name}
        match effect:
            case told.Claim(model):
                if not is_ours:
                    return False
                self.change(model, node=machine.name)
            case told.Release(model, node):
                if row is None or row.node != node:
                    return False
                self.change(model, node=None)
            case told.Pull(model):
                self.pulls[model] = None
            case told.Create(model, generation, _, _):
                if row is None or row.node != machine.name or row.generation != generation - 1 or not row.is_wanted:
                    return False
                self.change(model, generation=generation)
                self._create(machine, effect)
            case told.Start(_, container):
                one = self.containers[container]
                one.instance = replace(one.instance, status="running", started_at=self.now)
            case told.Probe(_, container):
                one = self.containers[container]
                one.instance = replace(one.instance, proved_at=self.now)
            case told.Retire(model, wanted_at, reason):
                if not is_ours or row is None or row.wanted_at != wanted_at:
                    return False
                self.change(model, is_wanted=False, queued_at=None, reason=reason)
            case told.Drain(_, container, stop_by, reason):
                self._stopping(container, stop_by, reason)
            case told.Remind(_, container):
                self._tell(container)
            case told.Kill(_, container, reason):
                self._stopping(container, self.now, reason)
                self.end(container)
            case told.Remove(_, container):
                assert not self.containers[container].is_up
                del self.containers[container]
            case told.Show(model, state, reason):
                if row is None or not is_ours or (state is State.STOPPED and row.is_wanted):
                    return False
                node = None if state is State.STOPPED else row.node
                queued_at = None if state in {State.STOPPED, State.READY} else row.queued_at
                self.change(model, state=state, reason=reason, node=node, queued_at=queued_at)
            case told.Fail(model, generation, spec, state, fault, failures, retry_at):
                assert row is not None
                assert generation is None or row.failed_generation < generation
                self.change(
                    model, state=state, reason=fault.message, fault=fault, failures=failures, retry_at=retry_at,
                    failed_at=self.now, failed_spec=spec,
                    failed_generation=row.failed_generation if generation is None else generation,
                )  # fmt: skip
                self.pulls.pop(model, None)
            case told.Recover(model):
                self.change(model, failures=0, retry_at=None, fault=None, failed_at=None)
            case told.Remember(model, seen_bytes):
                self.change(model, seen_bytes=seen_bytes)
            case told.Refuse(model, fault, wanted_at):
                if row is None or not is_ours or row.wanted_at != wanted_at:
                    return False
                self.change(
                    model, state=State.FAILED, reason=fault.message, fault=fault, failed_at=self.now, queued_at=None
                )
        return True

    def _create(self, machine: Machine, effect: told.Create) -> None:
        reserved = effect.reserved
        declared = reserved.gpu_bytes if reserved.gpu_uuids else reserved.host_bytes
        container = f"c{next(self._names)}"
        instance = Instance(
            container=container, model=effect.model, generation=effect.generation, spec=effect.spec,
            node=machine.name, reserved=reserved, status="created", created_at=self.now,
        )  # fmt: skip
        self.containers[container] = Container(instance, self.load_seconds, self.takes.get(effect.model, declared))

    def _stopping(self, container: str, stop_by: datetime, reason: str) -> None:
        one = self.containers[container]
        earlier = min(stop_by, one.instance.stop_by or stop_by)
        one.instance = replace(one.instance, stop_by=earlier, stop_reason=one.instance.stop_reason or reason)
        self._tell(container)

    def _tell(self, container: str) -> None:
        one = self.containers[container]
        if not self.loses_signals:
            one.told_at = one.told_at or self.now


def model(name: str, memory: int = GIB, **fields: object) -> Desired:
    """A model of the catalog that nobody has asked for."""
    return replace(Desired(name, "spec", memory_bytes=memory, host_memory_bytes=256 * MIB), **fields)  # type: ignore[arg-type]


def reserved_on(fleet: ScriptedFleet, container: str) -> Reservation:
    return fleet.containers[container].instance.reserved
