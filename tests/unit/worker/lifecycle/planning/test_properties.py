"""What holds whatever is asked for, and whatever goes wrong."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from common.catalog.local import GIB, MIB
from tests.unit.worker.lifecycle.planning.scripted_fleet import Machine, model
from tests.unit.worker.lifecycle.planning.watched_fleet import WatchedFleet
from worker.lifecycle.planning import effects as told

QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck))


def one_host() -> list[Machine]:
    return [Machine("here", 8 * GIB)]


def two_gpus() -> list[Machine]:
    return [Machine("here", 32 * GIB, {"GPU-0": 16 * GIB, "GPU-1": 24 * GIB})]


def three_nodes() -> list[Machine]:
    return [
        Machine("plain", 8 * GIB),
        Machine("one", 16 * GIB, {"GPU-0": 24 * GIB}),
        Machine("two", 32 * GIB, {"GPU-1": 16 * GIB, "GPU-2": 16 * GIB}),
    ]


@pytest.mark.parametrize("machines", [one_host, two_gpus, three_nodes])
@settings(QUIET, max_examples=2)
@given(seed=st.integers(0, 2**32))
def test_thirty_models_that_do_not_fit_together_are_all_answered_or_refused_with_a_reason(
    machines: Callable[[], list[Machine]], seed: int
) -> None:
    """Asked for in random order for ten minutes. What is refused fits nowhere."""
    random = Random(seed)
    names = [f"m{number:02}" for number in range(30)]
    fleet = WatchedFleet(
        *machines(),
        models=[
            model(
                name,
                random.randint(200, 6000) * MIB,
                gpu=random.choice(["none", "none", "auto", 1, 2]),
                ttl_seconds=random.choice([5.0, 60.0, 300.0, None]),
                drain_seconds=60,
            )
            for name in names
        ],
    )
    end = fleet.now + timedelta(minutes=10)
    while fleet.now < end:
        fleet.load_seconds = random.uniform(0.5, 20)
        for _ in range(random.randint(0, 3)):
            fleet.ask(random.choice(names), seconds=random.expovariate(1 / 5))
        fleet.advance(random.expovariate(1 / 4), step=2)
    fleet.advance_until_all_ended(900)
    for call in fleet.calls:
        assert call.outcome == "answered" or "fits nowhere" in (call.outcome or "")
    assert not [effect for effect in fleet.log if isinstance(effect, told.Kill | told.Fail)]


class AnyFleet(RuleBasedStateMachine):
    """Two nodes, eight models, and everything that people and machines do to them."""

    MODELS = tuple(f"m{number}" for number in range(8))
    names = st.sampled_from(MODELS)

    def __init__(self) -> None:
        super().__init__()
        gpus = [{"gpu": kind} for kind in ("none", "none", "none", "auto", "auto", 1, 2, "none")]
        sizes = [1, 2, 3, 2, 5, 6, 8, 3]
        self.fleet = WatchedFleet(
            Machine("here", 6 * GIB, {"GPU-0": 8 * GIB, "GPU-1": 6 * GIB}),
            Machine("there", 5 * GIB),
            models=[
                model(name, size * GIB, is_pinned=name == "m7", ttl_seconds=60, drain_seconds=10, **gpu)
                for name, size, gpu in zip(self.MODELS, sizes, gpus, strict=True)
            ],
        )

    @rule(asked=st.lists(names, min_size=1, max_size=8), seconds=st.floats(0.1, 40), then=st.floats(0, 40))
    def ask(self, asked: list[str], seconds: float, then: float) -> None:
        for name in asked:
            self.fleet.ask(name, seconds)
        self.fleet.advance(then, step=1)

    @rule(name=names, is_forced=st.booleans())
    def stop(self, name: str, is_forced: bool) -> None:
        self.fleet.stop(name, is_forced=is_forced)
        self.fleet.settle()

    @rule(seconds=st.floats(0.1, 90))
    def wait(self, seconds: float) -> None:
        self.fleet.advance(seconds, step=1)

    @rule(number=st.integers(0, 20), code=st.sampled_from([0, 1, 3, 4, 137]))
    def crash(self, number: int, code: int) -> None:
        up = [name for name, one in self.fleet.containers.items() if one.is_up]
        if up:
            self.fleet.end(up[number % len(up)], code)
            self.fleet.settle()

    @rule(number=st.integers(0, 20))
    def somebody_removes_a_container(self, number: int) -> None:
        if self.fleet.containers:
            name = list(self.fleet.containers)[number % len(self.fleet.containers)]
            self.fleet.end(name)
            del self.fleet.containers[name]
            self.fleet.settle()

    @rule(name=names)
    def the_entry_changes(self, name: str) -> None:
        self.fleet.change(name, spec=f"{self.fleet.rows[name].spec}'")
        self.fleet.settle()

    @rule(name=names)
    def it_cannot_load(self, name: str) -> None:
        self.fleet.exits_of[name] = 6

    @rule()
    def all_can_load(self) -> None:
        self.fleet.exits_of.clear()

    @rule(is_there=st.booleans())
    def a_gpu_comes_and_goes(self, is_there: bool) -> None:
        self.fleet.machines["here"].gpus.pop("GPU-1", None)
        if is_there:
            self.fleet.machines["here"].gpus["GPU-1"] = 6 * GIB
        self.fleet.settle()

    @rule(taken=st.integers(0, 4))
    def others_use_a_gpu(self, taken: int) -> None:
        self.fleet.machines["here"].of_others["GPU-0"] = taken * GIB
        self.fleet.settle()

    @rule(is_alive=st.booleans())
    def a_node_comes_and_goes(self, is_alive: bool) -> None:
        self.fleet.machines["there"].is_alive = is_alive
        self.fleet.machines["there"].was_away |= not is_alive
        self.fleet.settle()

    @invariant()
    def nothing_is_overcommitted(self) -> None:
        self.fleet.check()

    def teardown(self) -> None:
        self.fleet.exits_of.clear()
        self.fleet.machines["there"].is_alive = True
        self.fleet.machines["here"].of_others.clear()
        self.fleet.advance_until_all_ended(900)
        for call in self.fleet.calls:
            assert call.outcome == "answered" or len(call.outcome or "") > len("refused: ")


def test_whatever_happens_every_request_ends_and_nothing_is_overcommitted() -> None:
    run_state_machine_as_test(AnyFleet, settings=settings(QUIET, max_examples=20, stateful_step_count=30))
