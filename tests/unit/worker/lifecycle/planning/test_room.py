"""Memory: who fits, who waits, who leaves, who is refused."""

from dataclasses import replace

from common.catalog.local import GIB, MIB
from common.fleet.contracts import State
from tests.unit.worker.lifecycle.planning.scripted_fleet import POLICY, Machine, ScriptedFleet, model, reserved_on
from worker.lifecycle.planning import effects as told

MARGIN = POLICY.host_margin_bytes


def host(*models: told.Effect | object, size: int = 4 * GIB) -> ScriptedFleet:
    return ScriptedFleet(Machine("here", size), models=models)  # type: ignore[arg-type]


def retired(fleet: ScriptedFleet) -> list[str]:
    return [effect.model for effect in fleet.log if isinstance(effect, told.Retire)]


def test_what_can_never_fit_is_refused_at_once_with_the_arithmetic() -> None:
    fleet = host(model("big", 5 * GIB))
    call = fleet.ask("big")
    fleet.settle()
    assert call.outcome == "refused: big fits nowhere: it needs 5.1 GiB of the host, which has 4.0 GiB for it."
    assert fleet.state_of("big") is State.FAILED


def test_what_was_refused_is_thought_over_when_somebody_asks_anew() -> None:
    fleet = host(model("big", 5 * GIB))
    fleet.ask("big")
    fleet.advance(10)
    fleet.machines["here"].limit_bytes = 8 * GIB
    fleet.advance(10)
    assert fleet.state_of("big") is State.FAILED
    call = fleet.ask("big")
    fleet.advance(10)
    assert call.outcome == "answered"


def test_the_margin_counts() -> None:
    fleet = host(model("exact", 4 * GIB - MARGIN), model("over", 4 * GIB - MARGIN + 1))
    exact, over = fleet.ask("exact"), fleet.ask("over")
    fleet.advance(10)
    assert exact.outcome == "answered"
    assert "fits nowhere" in (over.outcome or "")


def test_the_least_recently_used_idle_model_gives_way() -> None:
    fleet = host(*(model(name, GIB) for name in "abc"), model("d", GIB * 3 // 2))
    for name in "abc":
        fleet.ask(name)
        fleet.advance(10)
    fleet.ask("a")
    fleet.advance(10)
    fleet.ask("d")
    fleet.advance(10)
    assert retired(fleet) == ["b"]
    assert fleet.reason_of("b") == "Makes room for d."
    assert {one.instance.model for one in fleet.containers.values()} == {"a", "c", "d"}


def test_nobody_leaves_for_nothing() -> None:
    """The longest idle is small and would not do: the larger one suffices alone, and the small one stays."""
    fleet = host(model("small", 256 * MIB), model("large", 3 * GIB), model("new", 3 * GIB))
    for name in ("small", "large"):
        fleet.ask(name)
        fleet.advance(10)
    fleet.ask("new")
    fleet.advance(10)
    assert retired(fleet) == ["large"]


def test_a_busy_model_is_waited_for() -> None:
    fleet = host(model("a", 3 * GIB), model("b", 3 * GIB))
    busy = fleet.ask("a", seconds=60)
    fleet.advance(5)
    waiting = fleet.ask("b")
    fleet.advance(30)
    assert (busy.outcome, waiting.outcome, retired(fleet)) == (None, None, [])
    assert fleet.reason_of("b") == "Waits for memory: what holds it is at work, pinned, or just started."
    fleet.advance(60)
    assert (busy.outcome, waiting.outcome, retired(fleet)) == ("answered", "answered", ["a"])


def test_what_fits_only_without_a_pinned_model_is_refused() -> None:
    fleet = host(model("kept", 3 * GIB, is_pinned=True), model("b", 2 * GIB))
    fleet.ask("kept")
    fleet.advance(10)
    call = fleet.ask("b")
    fleet.settle()
    assert call.outcome == "refused: b fits nowhere: it needs 2.1 GiB of the host, which has 960 MiB for it."


def test_a_model_that_was_just_started_for_somebody_is_not_stopped_before_they_came() -> None:
    fleet = host(model("a", 3 * GIB), model("b", 3 * GIB))
    fleet.ask("a")
    fleet.calls.clear()  # whoever asked is slow
    fleet.advance(3)
    fleet.ask("b")
    fleet.advance(1)
    assert retired(fleet) == []
    fleet.advance(10)
    assert retired(fleet) == ["a"]


def test_smaller_ones_pass_who_waits_for_busy_ones_for_a_while_and_then_nobody() -> None:
    fleet = host(model("a", 2 * GIB), model("big", 3 * GIB), model("small", GIB), model("late", 512 * MIB))
    fleet.ask("a", seconds=120)
    fleet.advance(5)
    big = fleet.ask("big")
    fleet.advance(1)
    small = fleet.ask("small")
    fleet.advance(10)
    assert (big.outcome, small.outcome) == (None, "answered")
    fleet.advance(30)
    late = fleet.ask("late")
    fleet.advance(10)
    assert (late.outcome, fleet.reason_of("late")) == (None, "Behind big, which has waited longer for room.")
    fleet.advance(120)
    assert (big.outcome, late.outcome) == ("answered", "answered")


def test_who_asks_again_keeps_its_place_in_the_line() -> None:
    fleet = host(model("a", 3 * GIB), model("b", 3 * GIB), model("c", 3 * GIB))
    fleet.ask("a", seconds=60)
    fleet.advance(5)
    first = fleet.ask("b", seconds=60)
    fleet.advance(1)
    second = fleet.ask("c")
    fleet.advance(1)
    fleet.ask("b")
    fleet.advance(80)
    assert (first.container is not None, second.outcome) == (True, None)


def test_who_asks_again_does_not_begin_anew_to_let_others_pass() -> None:
    fleet = host(model("a", 2 * GIB), model("big", 3 * GIB), model("late", 512 * MIB))
    fleet.ask("a", seconds=120)
    fleet.advance(5)
    fleet.ask("big")
    fleet.advance(29)
    fleet.ask("big")
    fleet.advance(2)
    fleet.ask("late")
    fleet.settle()
    assert fleet.reason_of("late") == "Behind big, which has waited longer for room."


def test_who_found_no_room_for_as_long_as_a_start_may_take_is_refused() -> None:
    fleet = host(model("a", 3 * GIB), model("b", 3 * GIB, load_seconds=60))
    fleet.ask("a", seconds=600)
    fleet.advance(5)
    call = fleet.ask("b")
    fleet.advance(59)
    assert call.outcome is None
    fleet.advance(2)
    assert call.outcome == "refused: b found no room in time: it needs 3.1 GiB of the host, which has 960 MiB for it."


def test_room_that_is_being_made_for_one_is_not_taken_by_another() -> None:
    fleet = host(model("a", 3 * GIB, drain_seconds=30), model("b", 3 * GIB), model("c", 3 * GIB))
    fleet.ask("a")
    fleet.advance(10)
    fleet.ask("b", seconds=30)
    fleet.settle()
    fleet.ask("c")
    fleet.advance(20)
    assert retired(fleet) == ["a"]
    assert [call.outcome for call in fleet.calls] == ["answered", None, None]
    fleet.advance(60)
    assert [call.outcome for call in fleet.calls] == ["answered"] * 3


def test_what_is_free_is_not_handed_out_if_it_is_part_of_what_another_waits_for() -> None:
    fleet = host(model("a", 3 * GIB), model("b", 3584 * MIB), model("c", 768 * MIB))
    fleet.leave_seconds = 10
    fleet.ask("a")
    fleet.advance(10)
    fleet.ask("b", seconds=20)
    fleet.settle()
    fleet.ask("c")
    fleet.advance(15)
    assert (fleet.state_of("b"), fleet.state_of("c")) == (State.READY, State.QUEUED)


def test_a_pinned_model_stays_where_another_one_can_leave() -> None:
    fleet = host(model("kept", GIB, is_pinned=True), model("other", GIB), model("new", 2 * GIB))
    for name in ("kept", "other"):
        fleet.ask(name)
        fleet.advance(10)
    fleet.ask("new")
    fleet.advance(10)
    assert retired(fleet) == ["other"]


def test_no_more_than_two_load_on_the_host_at_once() -> None:
    fleet = host(*(model(name, 256 * MIB) for name in "abcd"))
    for name in "abcd":
        fleet.ask(name)
    fleet.settle()
    assert sorted(fleet.reason_of(name) for name in "abcd") == ["", "", "Others are loading.", "Others are loading."]
    fleet.advance(10)
    assert {call.outcome for call in fleet.calls} == {"answered"}


def test_what_the_system_does_not_have_is_not_handed_out() -> None:
    fleet = host(model("a", 2 * GIB))
    ground = fleet._ground
    fleet._ground = lambda machine: (ground(machine)[0], replace(ground(machine)[1], available_bytes=GIB))  # type: ignore[method-assign]
    fleet.ask("a")
    fleet.advance(5)
    assert fleet.state_of("a") is State.QUEUED
    fleet._ground = ground  # type: ignore[method-assign]
    fleet.advance(5)
    assert fleet.state_of("a") is State.READY


# GPUs


def gpus(*sizes: int, models: list[object]) -> ScriptedFleet:
    machine = Machine("here", 64 * GIB, {f"GPU-{index}": size * GIB for index, size in enumerate(sizes)})
    return ScriptedFleet(machine, models=models)  # type: ignore[arg-type]


def on(fleet: ScriptedFleet, name: str) -> tuple[str, ...]:
    return reserved_on(fleet, fleet.container_of(name).instance.container).gpu_uuids


def test_a_model_goes_to_the_smallest_gpu_that_holds_it() -> None:
    fleet = gpus(80, 24, 16, models=[model("a", 20 * GIB, gpu=1), model("b", 10 * GIB, gpu=1)])
    fleet.ask("a")
    fleet.ask("b")
    fleet.advance(10)
    assert (on(fleet, "a"), on(fleet, "b")) == (("GPU-1",), ("GPU-2",))


def test_a_model_of_two_gpus_takes_half_of_each() -> None:
    fleet = gpus(24, 24, 80, models=[model("a", 40 * GIB, gpu=2)])
    fleet.ask("a")
    fleet.advance(10)
    assert on(fleet, "a") == ("GPU-0", "GPU-1")
    assert fleet.container_of("a").instance.reserved.gpu_bytes == 20 * GIB


def test_a_gpu_loads_one_model_at_a_time() -> None:
    fleet = gpus(80, models=[model("a", 10 * GIB, gpu=1), model("b", 10 * GIB, gpu=1)])
    fleet.ask("a")
    fleet.ask("b")
    fleet.advance(1)
    assert (fleet.state_of("a"), fleet.reason_of("b")) == (State.STARTING, "Another model is loading on the GPU.")
    fleet.advance(10)
    assert {call.outcome for call in fleet.calls} == {"answered"}


def test_a_gpu_loads_a_model_though_two_load_on_the_host() -> None:
    fleet = gpus(24, models=[model("a"), model("b"), model("c", 10 * GIB, gpu=1)])
    for name in "abc":
        fleet.ask(name)
    fleet.settle()
    assert {fleet.state_of(name) for name in "abc"} == {State.STARTING}


def test_auto_is_a_gpu_where_one_is_large_enough_and_the_host_elsewhere() -> None:
    fleet = gpus(16, models=[model("a", 10 * GIB, gpu="auto"), model("b", 20 * GIB, gpu="auto")])
    fleet.ask("a")
    fleet.ask("b")
    fleet.advance(10)
    assert (on(fleet, "a"), on(fleet, "b")) == (("GPU-0",), ())
    assert fleet.container_of("b").instance.reserved.host_bytes == 20 * GIB


def test_a_model_that_needs_gpus_is_refused_where_there_are_too_few() -> None:
    fleet = gpus(24, models=[model("a", 30 * GIB, gpu=2), model("b", 30 * GIB, gpu=1)])
    a, b = fleet.ask("a"), fleet.ask("b")
    fleet.settle()
    assert a.outcome == "refused: a fits nowhere: it needs 15.5 GiB on each of 2 GPUs, and there are 1."
    assert b.outcome == ("refused: b fits nowhere: it needs 30.5 GiB on a GPU, and the largest has 24.0 GiB for it.")


def test_a_model_that_takes_more_than_it_declared_is_charged_what_it_takes() -> None:
    fleet = gpus(24, models=[model("a", 4 * GIB, gpu=1), model("b", 10 * GIB, gpu=1, ttl_seconds=None)])
    fleet.takes["a"] = 16 * GIB
    fleet.ask("a", seconds=60)
    fleet.advance(5)
    fleet.ask("b")
    fleet.advance(30)
    assert fleet.state_of("b") is State.QUEUED
    fleet.advance(60)
    assert fleet.state_of("b") is State.READY


def test_a_model_is_placed_by_what_it_was_seen_to_take_before() -> None:
    fleet = gpus(16, 24, models=[model("a", 4 * GIB, gpu=1, ttl_seconds=10)])
    fleet.takes["a"] = 15 * GIB + 768 * MIB
    fleet.ask("a")
    fleet.advance(5)
    assert on(fleet, "a") == ("GPU-0",)
    fleet.advance(60)
    fleet.ask("a")
    fleet.advance(5)
    assert on(fleet, "a") == ("GPU-1",)


def test_a_model_that_took_all_it_could_get_is_not_held_to_that_on_a_smaller_gpu() -> None:
    fleet = gpus(24, models=[model("a", 16 * GIB, gpu=1, seen_bytes=72 * GIB)])
    call = fleet.ask("a")
    fleet.advance(10)
    assert call.outcome == "answered"


def test_memory_that_others_hold_is_not_handed_out() -> None:
    fleet = gpus(24, models=[model("a", 20 * GIB, gpu=1)])
    fleet.machines["here"].of_others["GPU-0"] = 8 * GIB
    fleet.ask("a")
    fleet.advance(10)
    assert (fleet.state_of("a"), "Create" in {type(effect).__name__ for effect in fleet.log}) == (State.QUEUED, False)
    fleet.machines["here"].of_others.clear()
    fleet.advance(10)
    assert fleet.state_of("a") is State.READY


def test_the_host_memory_that_who_waits_for_a_gpu_needs_is_kept_for_it() -> None:
    fleet = gpus(24, models=[model("a", 20 * GIB, gpu=1, host_memory_bytes=40 * GIB), model("b", 40 * GIB)])
    fleet.machines["here"].of_others["GPU-0"] = 18 * GIB
    call = fleet.ask("a")
    fleet.advance(40)
    fleet.ask("b", seconds=60)
    fleet.advance(10)
    assert fleet.state_of("b") is State.QUEUED
    fleet.machines["here"].of_others.clear()
    fleet.advance(10)
    assert call.outcome == "answered"


def test_who_waits_for_a_gpu_holds_up_nobody_who_needs_none() -> None:
    fleet = gpus(24, models=[model("a", 20 * GIB, gpu=1), model("b", 4 * GIB, gpu=1), model("c", 4 * GIB)])
    fleet.machines["here"].of_others["GPU-0"] = 18 * GIB
    for name in "a", "b", "c":
        fleet.ask(name)
        fleet.advance(40)
    assert [call.outcome for call in fleet.calls] == [None, None, "answered"]
    assert fleet.reason_of("b") == "Behind a, which has waited longer for room."


def test_a_model_on_a_gpu_that_is_gone_moves_to_another() -> None:
    fleet = gpus(24, 24, models=[model("a", 20 * GIB, gpu=1)])
    call = fleet.ask("a", seconds=20)
    fleet.advance(5)
    [gone] = on(fleet, "a")
    del fleet.machines["here"].gpus[gone]
    fleet.advance(30)
    assert call.outcome == "answered"
    assert on(fleet, "a") == (({"GPU-0", "GPU-1"} - {gone}).pop(),)


def test_a_model_of_the_last_gpu_says_so_when_it_is_gone() -> None:
    fleet = gpus(24, models=[model("a", 20 * GIB, gpu=1)])
    call = fleet.ask("a", seconds=20)
    fleet.advance(5)
    fleet.machines["here"].gpus.clear()
    fleet.advance(10)
    assert call.outcome == "refused: a fits nowhere: it needs 20.5 GiB on a GPU, and there is no GPU."
