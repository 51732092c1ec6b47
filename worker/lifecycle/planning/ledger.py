"""Who holds how much memory. Everybody is charged max(declared, seen) and a margin: models grow into what they said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from common.catalog.local import GIB, MIB
from common.fleet.contracts import Gpu, Host, Instance, Reservation
from worker.lifecycle.planning.policy import Policy


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes: of the host, and of each GPU. Less than nothing where more was taken than there is."""

    host_bytes: int
    gpu_bytes: Mapping[str, int]

    def minus(self, charge: Reservation) -> "Room":
        """What is left when this is taken."""
        return self._changed(charge, -1)

    def plus(self, charge: Reservation) -> "Room":
        """What there is when this is given back."""
        return self._changed(charge, 1)

    def within(self, other: "Room") -> "Room":
        """What both have."""
        gpus = {uuid: min(free, other.gpu_bytes.get(uuid, 0)) for uuid, free in self.gpu_bytes.items()}
        return Room(min(self.host_bytes, other.host_bytes), gpus)

    def without_gpus(self, uuids: Iterable[str]) -> "Room":
        """The same, with those GPUs left out."""
        left_out = set(uuids)
        return replace(self, gpu_bytes={uuid: free for uuid, free in self.gpu_bytes.items() if uuid not in left_out})

    def _changed(self, charge: Reservation, sign: int) -> "Room":
        gpus = dict(self.gpu_bytes)
        for uuid in charge.gpu_uuids:
            if uuid in gpus:  # else it is gone, and its memory with it
                gpus[uuid] += sign * charge.gpu_bytes
        return Room(self.host_bytes + sign * charge.host_bytes, gpus)


def charge(reserved: Reservation, policy: Policy) -> Reservation:
    """What a reservation costs: its margins too."""
    gpu_bytes = reserved.gpu_bytes + policy.gpu_margin_bytes if reserved.gpu_uuids else 0
    return Reservation(reserved.host_bytes + policy.host_margin_bytes, gpu_bytes, reserved.gpu_uuids)


def charge_of(instance: Instance, policy: Policy) -> Reservation:
    """What an instance is charged: what it declared, or what it was seen to take if that is more, and the margins."""
    reserved = instance.reserved
    host_bytes = max(reserved.host_bytes, seen_host_bytes(instance) or 0)
    gpu_bytes = max(reserved.gpu_bytes, seen_gpu_bytes(instance) or 0)
    return charge(Reservation(host_bytes, gpu_bytes, reserved.gpu_uuids), policy)


def seen_host_bytes(instance: Instance) -> int | None:
    """What it takes of the host; None if it does not say."""
    return None if instance.health is None else instance.health.memory_bytes


def seen_gpu_bytes(instance: Instance) -> int | None:
    """What it takes of each of its GPUs, rounded up; None if it does not say."""
    if instance.health is None or instance.health.gpu_memory_bytes is None:
        return None
    return -(-instance.health.gpu_memory_bytes // max(1, len(instance.reserved.gpu_uuids)))


def capacity(host: Host, gpus: Sequence[Gpu], pinned: Iterable[Instance], policy: Policy) -> Room:
    """What there could ever be for one more model: everything but what the pinned ones hold."""
    room = Room(host.limit_bytes, {gpu.uuid: gpu.total_bytes for gpu in gpus})
    for instance in pinned:
        room = room.minus(charge_of(instance, policy))
    return room


def free(host: Host, gpus: Sequence[Gpu], instances: Sequence[Instance], policy: Policy) -> Room:
    """What may be handed out now: beyond what all instances are charged and what others than ours take.

    Others' memory is what is in use and is not ours: that of instances as they say and their margin, where a CUDA
    context is that no runner tells of, or all that they are charged.
    What NVML still counts of a container that is gone is others' too, until it does not: so nobody is placed on it.
    """
    charges = [(instance, charge_of(instance, policy)) for instance in instances]
    room = Room(host.limit_bytes, {gpu.uuid: gpu.total_bytes for gpu in gpus})
    for _, charged in charges:
        room = room.minus(charged)
    if host.available_bytes is not None:
        growth = sum(charged.host_bytes - (seen_host_bytes(one) or 0) for one, charged in charges)
        room = replace(room, host_bytes=min(room.host_bytes, host.available_bytes - growth))
    of_others = {gpu.uuid: max(0, gpu.used_bytes - _ours(gpu, charges, policy)) for gpu in gpus}
    return replace(room, gpu_bytes={uuid: left - of_others[uuid] for uuid, left in room.gpu_bytes.items()})


def _ours(gpu: Gpu, charges: Iterable[tuple[Instance, Reservation]], policy: Policy) -> int:
    total = 0
    for instance, charged in charges:
        if gpu.uuid in instance.reserved.gpu_uuids:
            seen = seen_gpu_bytes(instance)
            total += charged.gpu_bytes if seen is None else seen + policy.gpu_margin_bytes
    return total


def in_words(size: int) -> str:
    """`1.5 GiB`, `512 MiB`: for people."""
    return f"{size / GIB:.1f} GiB" if abs(size) >= GIB else f"{size / MIB:.0f} MiB"
