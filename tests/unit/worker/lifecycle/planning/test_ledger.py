"""What instances are charged, and what of a machine may be handed out."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from common.catalog.local import GIB, MIB
from common.fleet.contracts import Gpu, Host, Instance, Reservation, RunnerHealth
from worker.lifecycle.planning.ledger import Room, charge_of, free, in_words, seen_gpu_bytes
from worker.lifecycle.planning.placement import Need, place, shortage
from worker.lifecycle.planning.policy import Policy

POLICY = Policy()
HOST_MARGIN, GPU_MARGIN = POLICY.host_margin_bytes, POLICY.gpu_margin_bytes
AT = datetime(2026, 1, 1, tzinfo=UTC)


def instance(reserved: Reservation, *, host: int = 0, gpu: int | None = None) -> Instance:
    """One whose runner says that it takes so much."""
    health = RunnerHealth(status="ready", memory_bytes=host, gpu_memory_bytes=gpu)
    return Instance("c1", "a", 1, "s", "here", reserved, "running", AT, health=health, proved_at=AT)


def on_host(reserved: int, *, seen: int) -> Instance:
    return instance(Reservation(reserved), host=seen)


def host(available: int | None = None) -> Host:
    return Host("here", UUID(int=1), 10 * GIB, available)


@pytest.mark.parametrize(("seen", "charged"), [(GIB, 2 * GIB), (3 * GIB, 3 * GIB)])
def test_the_host_is_charged_what_was_given_or_what_is_taken_if_that_is_more(seen: int, charged: int) -> None:
    assert charge_of(on_host(2 * GIB, seen=seen), POLICY) == Reservation(charged + HOST_MARGIN)


def test_one_that_says_nothing_is_charged_what_it_was_given() -> None:
    silent = Instance("c1", "a", 1, "s", "here", Reservation(GIB), "running", AT)
    assert charge_of(silent, POLICY) == Reservation(GIB + HOST_MARGIN)


def test_what_is_taken_of_several_gpus_is_shared_among_them_and_rounded_up() -> None:
    assert seen_gpu_bytes(instance(Reservation(GIB, GIB, ("x", "y")), gpu=7)) == 4


def test_nobody_is_given_what_instances_may_still_grow_into() -> None:
    """The system could hand out 5 GiB, and of those one of 4 GiB that takes 1 has still 3 to come, and its margin."""
    growing = on_host(4 * GIB, seen=GIB)
    assert free(host(5 * GIB), [], [growing], POLICY).host_bytes == 2 * GIB - HOST_MARGIN


def test_the_limit_holds_however_much_the_system_could_hand_out() -> None:
    assert free(host(64 * GIB), [], [on_host(4 * GIB, seen=GIB)], POLICY).host_bytes == 6 * GIB - HOST_MARGIN


def test_what_an_instance_takes_of_one_gpu_explains_nothing_of_another() -> None:
    gpus = [Gpu("x", 0, "G", 24 * GIB, 8 * GIB), Gpu("y", 1, "G", 24 * GIB, 8 * GIB)]
    room = free(host(), gpus, [instance(Reservation(GIB, 8 * GIB, ("x",)), gpu=8 * GIB)], POLICY)
    assert room.gpu_bytes == {"x": 16 * GIB - GPU_MARGIN, "y": 16 * GIB}


def test_a_room_within_another_has_the_less_of_both_and_nothing_of_a_gpu_that_one_lacks() -> None:
    assert Room(5, {"x": 1, "y": 9, "z": 9}).within(Room(4, {"x": 7, "y": 2})) == Room(4, {"x": 1, "y": 2, "z": 0})


def test_a_gpu_holds_what_fits_to_the_byte() -> None:
    need = Need(GIB, 8 * GIB, 1)
    exact = 8 * GIB + GPU_MARGIN
    assert place(need, Room(2 * GIB, {"x": exact}), POLICY) == Reservation(GIB, 8 * GIB, ("x",))
    assert place(need, Room(2 * GIB, {"x": exact - 1}), POLICY) is None


def test_a_shortage_names_the_largest_gpus() -> None:
    room = Room(64 * GIB, {"x": 16 * GIB, "y": 24 * GIB, "z": 8 * GIB})
    assert shortage(Need(GIB, 30 * GIB, 1), room, POLICY).endswith("and the largest has 24.0 GiB for it")
    assert shortage(Need(GIB, 30 * GIB, 2), room, POLICY).endswith("and the largest have 24.0 GiB, 16.0 GiB for it")


def test_a_shortage_speaks_of_no_less_than_nothing() -> None:
    need = Need(GIB - HOST_MARGIN, 2 * GIB - GPU_MARGIN, 1)
    assert shortage(need, Room(-GIB, {}), POLICY) == "needs 1.0 GiB of the host, which has 0 MiB for it"
    assert shortage(need, Room(4 * GIB, {"x": -GIB}), POLICY) == (
        "needs 2.0 GiB on a GPU, and the largest has 0 MiB for it"
    )


def test_sizes_are_gibibytes_from_the_first_one() -> None:
    assert (in_words(GIB - MIB), in_words(GIB)) == ("1023 MiB", "1.0 GiB")
