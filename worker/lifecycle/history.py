"""What happened to models: a row of `model_events` each, and counts for Prometheus."""

from datetime import datetime
from typing import Any

from common.counters import Count
from common.fleet.contracts import Desired, Instance, State
from common.fleet.store import FleetStore
from worker.counters import Tally, count_time
from worker.lifecycle.looking import Look
from worker.lifecycle.planning import effects as told
from worker.lifecycle.planning.starting import MAKES_ROOM


class History:
    """Tells of effects that were carried out."""

    def __init__(self, store: FleetStore, tally: Tally) -> None:
        self._store = store
        self._tally = tally

    async def note(self, step: told.Effect, look: Look) -> None:
        """Write down a step, if anybody will want to know of it."""
        row = next((row for row in look.rows.desired if row.model == step.model), None)
        match step:
            case told.Pull(model):
                await self._store.note(model, "pulling")
            case told.Create(model, generation, _, reserved):
                waited = _seconds(row.queued_at if row else None, look.rows.read_at)
                count_time(self._tally, Count.MODEL_STARTS, Count.MODEL_QUEUE_MILLISECONDS, waited or 0)
                how: dict[str, Any] = {
                    "waited_seconds": waited,
                    "host_bytes": reserved.host_bytes,
                    "gpus": reserved.gpu_uuids,
                }
                await self._store.note(model, "created", generation=generation, detail=how)
            case told.Show(model, State.READY):
                await self._ready(model, row, look)
            case told.Retire(model, reason=reason):
                self._tally[Count.MODEL_EVICTIONS] += reason.startswith(MAKES_ROOM)
                await self._store.note(model, "retired", detail={"reason": reason})
            case told.Drain(model, container, reason=reason) | told.Kill(model, container, reason):
                how = {"reason": reason, "is_killed": isinstance(step, told.Kill)}
                instance = _instance(look, container)
                await self._store.note(model, "stopping", generation=instance.generation, detail=how)
            case told.Remove(model, container):
                instance = _instance(look, container)
                how = {"exit_code": instance.exit_code}
                await self._store.note(model, "removed", generation=instance.generation, detail=how)
            case told.Fail(model, generation, fault=fault):
                self._tally[Count.MODEL_FAILURES] += 1
                how = {"code": fault.code, "message": fault.message, "failures": step.failures}
                await self._store.note(model, "failed", generation=generation, detail=how)
            case told.Refuse(model, fault):
                self._tally[Count.MODEL_REFUSALS] += 1
                await self._store.note(model, "refused", detail={"code": fault.code, "message": fault.message})
            case _:
                pass

    async def _ready(self, model: str, row: Desired | None, look: Look) -> None:
        generation = row.generation if row else None
        found = [one for one in look.observed.instances if one.model == model and one.generation == generation]
        if not found:
            return
        took = _seconds(found[0].created_at, found[0].proved_at)
        health = found[0].health
        count_time(self._tally, Count.MODEL_LOADS, Count.MODEL_LOAD_MILLISECONDS, took or 0)
        detail: dict[str, Any] = {"seconds": took}
        if health is not None:
            detail |= {"load_seconds": health.load_seconds, "memory_bytes": health.memory_bytes}
        await self._store.note(model, "ready", generation=generation, detail=detail)


def _instance(look: Look, container: str) -> Instance:
    return next(one for one in look.observed.instances if one.container == container)


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else max((until - since).total_seconds(), 0.0)
