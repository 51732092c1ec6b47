"""A scripted fleet that holds everything that must never happen against what does."""

from collections.abc import Sequence
from datetime import timedelta

from common.fleet.contracts import Reservation
from tests.unit.worker.lifecycle.planning.scripted_fleet import Container, Machine, ScriptedFleet
from worker.lifecycle.planning import effects as told
from worker.lifecycle.planning.effects import Effect


class WatchedFleet(ScriptedFleet):
    """Fails at the first thing that is wrong."""

    def turn(self, machine: Machine) -> list[Effect]:
        effects = super().turn(machine)
        assert len(set(effects)) == len(effects), "said twice"
        return effects

    def settle(self) -> None:
        before = len(self.log)
        super().settle()
        done = [effect for effect in self.log[before:] if not isinstance(effect, told.Claim | told.Release | told.Show)]
        assert len(set(done)) == len(done), "asked for again what was done"
        for machine in self.machines.values():
            if machine.is_alive:
                assert self.plan(machine) == [], "a plan on what its effects brought about asks for more"

    def _do(self, machine: Machine, effect: Effect) -> bool:
        if isinstance(effect, told.Retire):
            row = self.rows[effect.model]
            assert not row.is_pinned, "a pinned model was told to leave"
            own = self.own(row)
            assert own is None or not own.calls, "a busy one was"
        is_done = super()._do(machine, effect)
        if isinstance(effect, told.Create | told.Start):
            self.check()
        return is_done

    def advance_until_all_ended(self, seconds: float) -> None:
        """Within so much time nobody is left waiting."""
        end = self.now + timedelta(seconds=seconds)
        while any(call.outcome is None for call in self.calls):
            assert self.now < end, [call for call in self.calls if call.outcome is None]
            self.advance(3, step=3)

    def check(self) -> None:
        """At any moment."""
        for model in self.rows:
            # a node that was away may come back with one of a model that has moved
            where = [one.instance.node for one in self._of(model)]
            assert len(where) == len(set(where)), f"{model} runs twice on a node"
            assert sum(not self.machines[name].was_away for name in where) <= 1, f"{model} runs on two nodes"
        for machine in self.machines.values():
            mine = [one for one in self.containers.values() if one.instance.node == machine.name]
            held = [one for one in mine if one.instance.status != "exited"]
            host = sum(max(one.instance.reserved.host_bytes, one.takes_bytes if _on_host(one) else 0) for one in held)
            assert host <= machine.limit_bytes, "more of the host was handed out than there is"
            loads = [one for one in held if _is_loading(one)]
            assert sum(_on_host(one) for one in loads) <= self.policy.host_loads
            for uuid, size in machine.gpus.items():
                on_it = [one for one in held if uuid in one.instance.reserved.gpu_uuids]
                taken = sum(max(one.instance.reserved.gpu_bytes, one.takes_bytes) for one in on_it)
                assert taken <= size, "more of a GPU was handed out than there is"
                assert sum(uuid in one.instance.reserved.gpu_uuids for one in loads) <= 1, "two load on a GPU"

    def _of(self, model: str) -> Sequence[Container]:
        return [
            one for one in self.containers.values() if one.instance.model == model and one.instance.status != "exited"
        ]


def _reserved(one: Container) -> Reservation:
    return one.instance.reserved


def _on_host(one: Container) -> bool:
    return not _reserved(one).gpu_uuids


def _is_loading(one: Container) -> bool:
    return one.instance.proved_at is None and one.instance.stop_by is None
