"""What to do next about a node's models: `plan`. Nothing is remembered from one plan to the next."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from common.fleet.contracts import Desired, Gpu, GpuRoom, Host, Instance, Node, Observed, State
from worker.lifecycle.planning.effects import Drain, Effect, Kill, Release, Retire, Show
from worker.lifecycle.planning.failures import has_asked
from worker.lifecycle.planning.ledger import capacity, charge_of, free
from worker.lifecycle.planning.orphans import remove_orphan
from worker.lifecycle.planning.policy import POLICY, Policy
from worker.lifecycle.planning.starting import Idle, Line
from worker.lifecycle.planning.tending import GONE, Moment, idle_since, show, tend


def plan(
    desired: Sequence[Desired],
    observed: Observed,
    gpus: Sequence[Gpu],
    host: Host,
    now: datetime,
    *,
    peers: Sequence[Node] = (),
    policy: Policy = POLICY,
) -> list[Effect]:
    """The next steps of this node, in the order in which they are to be done; none where all is as it should be.

    `now` is `observed.read_at`. Planned again on what its effects brought about, it asks for nothing more.
    Every model has at most one instance: its own is the one of the row's node and generation, and others are orphans.
    """
    rows = {row.model: row for row in desired}
    living = living_of(peers, now, policy)
    own, orphans = _sort_out(rows, observed.instances, host.node)
    moment = Moment(now, observed, [gpu.uuid for gpu in gpus], policy)

    effects: list[Effect] = []
    for orphan in orphans:
        effects += remove_orphan(orphan, observed, now, living, policy)
    for model, instance in own.items():
        effects += tend(rows[model], instance, moment)
    line = _line(rows, own, effects, moment, gpus, host, living)
    for row in sorted(desired, key=lambda row: (row.queued_at or row.wanted_at or now, row.model)):
        if row.model not in own:
            effects += _without_instance(row, line, {peer.name for peer in living})
    return effects


def living_of(peers: Sequence[Node], now: datetime, policy: Policy = POLICY) -> list[Node]:
    """The nodes that were heard of lately."""
    return [peer for peer in peers if now - peer.seen_at < timedelta(seconds=policy.node_lost_seconds)]


def account(
    desired: Sequence[Desired],
    observed: Observed,
    gpus: Sequence[Gpu],
    host: Host,
    now: datetime,
    *,
    policy: Policy = POLICY,
) -> Node:
    """This node as the others are to see it."""
    rows = {row.model: row for row in desired}
    own, _ = _sort_out(rows, observed.instances, host.node)
    room, ever = free(host, gpus, observed.instances, policy), capacity(host, gpus, _pinned(rows, own), policy)
    return Node(
        name=host.node,
        seen_at=now,
        capacity_bytes=ever.host_bytes,
        free_bytes=room.host_bytes,
        gpus=tuple(GpuRoom(ever.gpu_bytes[gpu.uuid], room.gpu_bytes[gpu.uuid]) for gpu in gpus),
    )


def _sort_out(
    rows: Mapping[str, Desired], instances: Sequence[Instance], node: str
) -> tuple[dict[str, Instance], list[Instance]]:
    own: dict[str, Instance] = {}
    orphans: list[Instance] = []
    for instance in instances:
        row = rows.get(instance.model)
        is_own = row is not None and row.node == node and row.generation == instance.generation
        if is_own and instance.model not in own:
            own[instance.model] = instance
        else:
            orphans.append(instance)
    return own, orphans


def _line(
    rows: Mapping[str, Desired],
    own: Mapping[str, Instance],
    effects: Sequence[Effect],
    moment: Moment,
    gpus: Sequence[Gpu],
    host: Host,
    peers: Sequence[Node],
) -> Line:
    policy, instances = moment.policy, moment.observed.instances
    told = {effect.container for effect in effects if isinstance(effect, Drain | Kill)}
    leaving = {one.container: one for one in instances if one.is_leaving or one.container in told}
    loading = [one for one in instances if one.is_loading and one.container not in leaving]
    shown = ahead = free(host, gpus, instances, policy)
    for one in leaving.values():
        ahead = ahead.plus(charge_of(one, policy))
    staying = {model: one for model, one in own.items() if one.container not in leaving}
    idle = [
        Idle(one, rows[model], since, charge_of(one, policy))
        for model, one in staying.items()
        if not rows[model].is_pinned
        and (since := idle_since(one, moment.observed)) is not None
        and moment.now - since >= timedelta(seconds=policy.settle_seconds)
    ]
    return Line(
        node=host.node,
        at=moment.now,
        policy=policy,
        observed=moment.observed,
        peers=peers,
        capacity=capacity(host, gpus, _pinned(rows, staying), policy),
        shown=shown,
        now=shown,
        ahead=ahead,
        loading_gpus={uuid for one in loading for uuid in one.reserved.gpu_uuids},
        loads=sum(not one.reserved.gpu_uuids for one in loading),
        idle=sorted(idle, key=lambda one: (one.since, one.instance.model)),
        leaving=leaving,
    )


def _pinned(rows: Mapping[str, Desired], own: Mapping[str, Instance]) -> list[Instance]:
    return [one for model, one in own.items() if rows[model].is_pinned and not one.is_leaving]


def _without_instance(row: Desired, line: Line, living: set[str]) -> list[Effect]:
    if row.node in living:
        return []
    if row.node not in {None, line.node}:
        return [Release(row.model, row.node)]
    if not row.is_wanted:
        return [] if row.state is State.STOPPED else [Show(row.model, State.STOPPED, row.reason)]
    if row.spec is None:
        return [Retire(row.model, row.wanted_at, GONE)]
    if any(one.model == row.model for one in line.observed.instances):
        is_shown = row.node == line.node and has_asked(row)
        return show(row, State.QUEUED, "Waits for its last container to leave.") if is_shown else []
    return line.serve(row)
