"""Containers of this installation that are no model's own: of an old generation, of a model that moved or is gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.fleet.contracts import Instance, Node, Observed
from worker.lifecycle.planning.effects import Drain, Effect, Kill, Remove
from worker.lifecycle.planning.policy import Policy

REASON = "No model's container any more."


def remove_orphan(
    orphan: Instance, observed: Observed, now: datetime, peers: Sequence[Node], policy: Policy
) -> list[Effect]:
    """Have it end, then remove it: nothing if the observation is not fresh, or if it is another living node's.

    Fresh is what was seen a moment ago and before the rows were read: a generation is raised before its container is
    made, so a container that the rows do not know of was made before them, and is no one's.
    """
    is_fresh = now - observed.taken_at <= timedelta(seconds=policy.fresh_seconds)
    if not is_fresh or observed.read_at < observed.taken_at:
        return []
    if any(peer.name == orphan.node for peer in peers):
        return []
    if orphan.status != "running":
        return [Remove(orphan.model, orphan.container)]
    if orphan.stop_by is None:
        stop_by = now + timedelta(seconds=policy.orphan_drain_seconds)
        return [Drain(orphan.model, orphan.container, stop_by, REASON)]
    return [Kill(orphan.model, orphan.container, REASON)] if now >= orphan.stop_by else []
