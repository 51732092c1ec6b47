"""Several nodes, and containers that are nobody's."""

from dataclasses import replace

from common.catalog.local import GIB
from common.fleet.contracts import State
from tests.unit.worker.lifecycle.planning.scripted_fleet import POLICY, Machine, ScriptedFleet, model
from worker.lifecycle.planning import effects as told


def two(*models: object, here: int = 4 * GIB, there: int = 4 * GIB) -> ScriptedFleet:
    return ScriptedFleet(Machine("here", here), Machine("there", there), models=models)  # type: ignore[arg-type]


def test_a_model_runs_on_one_node_though_both_would_have_it() -> None:
    fleet = two(model("a"))
    fleet.ask("a")
    fleet.advance(10)
    assert len(fleet.containers) == 1


def test_a_model_goes_to_the_node_that_can_hold_it() -> None:
    fleet = two(model("a", 6 * GIB), there=8 * GIB)
    call = fleet.ask("a")
    fleet.advance(10)
    assert (call.outcome, fleet.rows["a"].node) == ("answered", "there")


def test_a_model_goes_where_nobody_has_to_leave_for_it() -> None:
    fleet = two(model("a", 3 * GIB), model("b", 3 * GIB))
    fleet.ask("a")
    fleet.advance(10)
    fleet.ask("b")
    fleet.advance(10)
    assert {row.node for row in fleet.rows.values()} == {"here", "there"}
    assert not [effect for effect in fleet.log if isinstance(effect, told.Retire)]


def test_a_model_that_fits_no_node_is_refused() -> None:
    fleet = two(model("a", 9 * GIB), there=8 * GIB)
    call = fleet.ask("a")
    fleet.settle()
    assert (call.outcome or "").startswith("refused: a fits nowhere: it needs 9.1 GiB of the host")


def test_auto_prefers_a_node_with_a_gpu() -> None:
    fleet = ScriptedFleet(
        Machine("plain", 64 * GIB), Machine("strong", 64 * GIB, {"GPU-0": 24 * GIB}), models=[model("a", gpu="auto")]
    )
    fleet.ask("a")
    fleet.advance(10)
    assert fleet.container_of("a").instance.reserved.gpu_uuids == ("GPU-0",)


def test_who_waits_too_long_for_busy_ones_goes_to_a_node_with_room() -> None:
    fleet = two(model("a", 3 * GIB), model("b", 3 * GIB), model("c", 3 * GIB))
    fleet.ask("a", seconds=600)
    fleet.advance(5)
    fleet.ask("b", seconds=20)
    fleet.advance(5)
    waiting = fleet.ask("c")
    fleet.settle()
    assert fleet.rows["c"].node == fleet.rows["a"].node
    elsewhere = fleet.rows["b"].node
    fleet.stop("b")
    fleet.advance(60)
    assert (waiting.outcome, fleet.rows["c"].node) == ("answered", elsewhere)


def test_a_model_that_has_outgrown_its_node_moves_to_one_that_holds_it() -> None:
    fleet = two(model("a", 3 * GIB, ttl_seconds=None), there=8 * GIB)
    fleet.machines["there"].is_alive = False
    fleet.advance(90)
    fleet.ask("a")
    fleet.advance(5)
    assert fleet.rows["a"].node == "here"
    fleet.machines["there"].is_alive = True
    fleet.change("a", spec="larger", memory_bytes=6 * GIB)
    fleet.advance(10)
    assert (fleet.state_of("a"), fleet.rows["a"].node) == (State.READY, "there")


def test_the_models_of_a_node_that_is_lost_start_elsewhere_and_its_containers_go_when_it_is_back() -> None:
    fleet = two(model("a", ttl_seconds=None))
    fleet.ask("a")
    fleet.advance(5)
    lost = fleet.machines[fleet.rows["a"].node or ""]
    lost.is_alive = False
    fleet.advance(50)
    assert fleet.rows["a"].node == lost.name, "it may be back any moment"
    fleet.advance(30)
    assert fleet.rows["a"].node not in {None, lost.name}
    assert fleet.state_of("a") is State.READY
    lost.is_alive = True
    fleet.advance(20)
    assert [one.instance.node for one in fleet.containers.values()] == [fleet.rows["a"].node]


def test_a_model_of_a_lost_node_that_fits_nowhere_else_is_refused() -> None:
    fleet = two(model("a", 6 * GIB), there=8 * GIB)
    call = fleet.ask("a", seconds=600)
    fleet.advance(5)
    fleet.machines["there"].is_alive = False
    fleet.end(fleet.container_of("a").instance.container)
    fleet.advance(90)
    assert call.outcome == "refused: a fits nowhere: it needs 6.1 GiB of the host, which has 4.0 GiB for it."


def test_a_stopped_model_of_a_lost_node_is_shown_stopped() -> None:
    fleet = two(model("a", ttl_seconds=None))
    fleet.ask("a")
    fleet.advance(5)
    fleet.machines[fleet.rows["a"].node or ""].is_alive = False
    fleet.stop("a")
    fleet.advance(90)
    assert (fleet.state_of("a"), fleet.rows["a"].node) == (State.STOPPED, None)


def with_orphan() -> tuple[ScriptedFleet, str]:
    """A running container of a generation that the row has left behind."""
    fleet = ScriptedFleet(Machine("here", 4 * GIB), models=[model("a", ttl_seconds=None)])
    fleet.ask("a")
    fleet.advance(5)
    fleet.change("a", generation=7)
    return fleet, fleet.container_of("a").instance.container


def test_a_container_of_an_old_generation_is_drained_and_removed_before_the_next_is_made() -> None:
    fleet, orphan = with_orphan()
    fleet.leave_seconds = 3
    fleet.advance(1)
    assert list(fleet.containers) == [orphan]
    assert fleet.reason_of("a") == "Waits for its last container to leave."
    fleet.advance(10)
    assert orphan not in fleet.containers
    assert [one.instance.generation for one in fleet.containers.values()] == [8]


def test_a_container_of_an_old_generation_that_does_not_leave_is_killed() -> None:
    fleet, orphan = with_orphan()
    fleet.leave_seconds = 600
    fleet.advance(POLICY.orphan_drain_seconds - 1)
    assert fleet.containers[orphan].is_up
    fleet.advance(2)
    assert orphan not in fleet.containers


def test_a_container_is_not_taken_for_an_orphan_on_an_old_observation() -> None:
    fleet, orphan = with_orphan()
    fleet.machines["here"].is_stale = True
    fleet.advance(10)
    assert fleet.containers[orphan].is_up
    fleet.machines["here"].is_stale = False
    fleet.advance(10)
    assert orphan not in fleet.containers


def test_a_container_is_not_taken_for_an_orphan_by_rows_that_are_older_than_it() -> None:
    fleet, _ = with_orphan()
    machine = fleet.machines["here"]
    observe = fleet.observe
    fleet.observe = lambda one: replace(observe(one), read_at=fleet.now.replace(year=2025))  # type: ignore[method-assign]
    assert not [effect for effect in fleet.plan(machine) if isinstance(effect, told.Drain | told.Kill | told.Remove)]


def test_a_container_of_a_model_that_has_no_row_is_removed() -> None:
    fleet, orphan = with_orphan()
    del fleet.rows["a"]
    fleet.advance(10)
    assert orphan not in fleet.containers


def on_one_engine() -> tuple[ScriptedFleet, str, str]:
    """A model that is ready on one of two nodes with the same engine: the fleet, that node, and the other."""
    fleet = ScriptedFleet(
        Machine("one", 4 * GIB, engine="e"),
        Machine("two", 4 * GIB, engine="e"),
        models=[model("a", ttl_seconds=None)],
    )
    fleet.ask("a")
    fleet.advance(5)
    owner = fleet.container_of("a").instance.node
    return fleet, owner, next(name for name in fleet.machines if name != owner)


def test_a_container_of_another_living_node_on_the_same_engine_is_left_alone() -> None:
    fleet, _, other = on_one_engine()
    assert fleet.plan(fleet.machines[other]) == []
    assert fleet.container_of("a").is_serving


def test_a_container_of_a_lost_node_on_the_same_engine_is_replaced() -> None:
    fleet, owner, other = on_one_engine()
    left = fleet.container_of("a").instance.container
    fleet.machines[owner].is_alive = False
    fleet.advance(90)
    assert left not in fleet.containers
    assert fleet.container_of("a").instance.node == other
