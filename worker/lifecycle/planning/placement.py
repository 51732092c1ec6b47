"""Where a model fits: the host, or so many GPUs; and who would have to leave for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.fleet.contracts import Desired, Reservation
from worker.lifecycle.planning.ledger import Room, charge, in_words
from worker.lifecycle.planning.policy import Policy


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes on a node: of the host, and the same of each of `gpus` GPUs."""

    host_bytes: int
    gpu_bytes: int = 0
    gpus: int = 0

    def on(self, uuids: Sequence[str]) -> Reservation:
        """The reservation on these GPUs."""
        return Reservation(self.host_bytes, self.gpu_bytes if uuids else 0, tuple(uuids))


def need_of(desired: Desired, capacity: Room, policy: Policy) -> Need:
    """What it would take here. `auto` is one GPU where one could ever hold it, and the host elsewhere.

    Of GPUs it takes what it was seen to take before. Some servers take all they can get: what no GPU here could give
    is not held against them.
    """
    if desired.gpu == "none":
        return Need(desired.memory_bytes)
    count = 1 if desired.gpu == "auto" else desired.gpu
    declared, seen = (
        Need(desired.host_memory_bytes, -(-memory // count), count)
        for memory in (desired.memory_bytes, max(desired.memory_bytes, desired.seen_bytes))
    )
    if place(seen, capacity, policy):
        return seen
    fits_nowhere = place(declared, capacity, policy) is None
    return Need(desired.memory_bytes) if desired.gpu == "auto" and fits_nowhere else declared


def place(need: Need, room: Room, policy: Policy) -> Reservation | None:
    """The tightest place that holds it: of the GPUs with room, those with the least. None where there is none."""
    cost = charge(need.on(("any",) * need.gpus), policy)
    if room.host_bytes < cost.host_bytes:
        return None
    holding = sorted((left, uuid) for uuid, left in room.gpu_bytes.items() if left >= cost.gpu_bytes)
    if len(holding) < need.gpus:
        return None
    return need.on(sorted(uuid for _, uuid in holding[: need.gpus]))


def make_room(
    need: Need, room: Room, leavers: Iterable[tuple[str, Reservation]], policy: Policy
) -> tuple[tuple[str, ...], Reservation] | None:
    """Who leaves, so that it fits, and where: of `leavers` (a name and what it is charged) the first that suffice.

    None where it does not fit even when all have left. Nobody leaves for nothing: each is let stay, the last one
    first, where the others suffice.
    """
    taken = list(leavers)
    for _, charged in taken:
        room = room.plus(charged)
    for leaver in reversed(taken.copy()):
        smaller = room.minus(leaver[1])
        if place(need, smaller, policy) is not None:
            taken.remove(leaver)
            room = smaller
    found = place(need, room, policy)
    return None if found is None else (tuple(name for name, _ in taken), found)


def shortage(need: Need, room: Room, policy: Policy) -> str:
    """The arithmetic of why it does not fit: `needs 5.1 GiB of the host, which has 3.9 GiB for it`."""
    cost = charge(need.on(("any",) * need.gpus), policy)
    if room.host_bytes < cost.host_bytes:
        return f"needs {in_words(cost.host_bytes)} of the host, which has {in_words(max(0, room.host_bytes))} for it"
    wanted = f"needs {in_words(cost.gpu_bytes)} on {'a GPU' if need.gpus == 1 else f'each of {need.gpus} GPUs'}"
    if not room.gpu_bytes:
        return f"{wanted}, and there is no GPU"
    largest = sorted(room.gpu_bytes.values(), reverse=True)[: need.gpus]
    if len(largest) < need.gpus:
        return f"{wanted}, and there are {len(room.gpu_bytes)}"
    return (
        f"{wanted}, and the largest has {in_words(max(0, largest[0]))} for it"
        if need.gpus == 1
        else (f"{wanted}, and the largest have {', '.join(in_words(max(0, size)) for size in largest)} for it")
    )
