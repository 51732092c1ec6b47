"""Which of several nodes takes a model that none has."""

from collections.abc import Sequence

from common.fleet.contracts import Desired, Node
from worker.lifecycle.planning.ledger import Room
from worker.lifecycle.planning.placement import Need, need_of, place
from worker.lifecycle.planning.policy import Policy

# The better the smaller: whether it would run on the host for want of a GPU, and whether others have to leave first.
Rank = tuple[bool, bool]


def could_elsewhere(desired: Desired, peers: Sequence[Node], policy: Policy) -> bool:
    """Whether another node that lives could ever hold it."""
    return any(_rank_of(desired, peer, policy) is not None for peer in peers)


def should_claim(desired: Desired, need: Need, room: Room, peers: Sequence[Node], policy: Policy) -> bool:
    """Whether no other node that lives is better for it. Of equal ones all try: the first write wins."""
    mine = _rank(desired, need, room, policy)
    others = (_rank_of(desired, peer, policy) for peer in peers)
    return all(other is None or mine <= other for other in others)


def _rank(desired: Desired, need: Need, room: Room, policy: Policy) -> Rank:
    return (desired.gpu == "auto" and need.gpus == 0, place(need, room, policy) is None)


def _rank_of(desired: Desired, peer: Node, policy: Policy) -> Rank | None:
    """None where it never fits there."""
    capacity = Room(peer.capacity_bytes, {str(index): gpu.capacity_bytes for index, gpu in enumerate(peer.gpus)})
    need = need_of(desired, capacity, policy)
    if place(need, capacity, policy) is None:
        return None
    room = Room(peer.free_bytes, {str(index): gpu.free_bytes for index, gpu in enumerate(peer.gpus)})
    return _rank(desired, need, room, policy)
