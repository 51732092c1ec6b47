"""Carrying out a plan: the one thin place where effects become requests and rows.

What writes a row compares before it sets, and what the engine is asked may be asked twice, so a worker that dies
between two steps leaves nothing that the next plan does not see.
"""

import asyncio
import logging
from collections.abc import Sequence

from common.fleet.contracts import Fault
from common.fleet.store import FleetStore
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineAway, EngineError, NoSuchImage
from worker.lifecycle.fetching import Fetching
from worker.lifecycle.history import History
from worker.lifecycle.looking import Look
from worker.lifecycle.planning import effects as told
from worker.lifecycle.proving import Proving
from worker.lifecycle.template import Site, Weights, container_config, container_name

logger = logging.getLogger(__name__)


class Carrier:
    """Carries out effects: those of one model in their order, those of several at once."""

    def __init__(
        self,
        engine: DockerEngine,
        store: FleetStore,
        fetching: Fetching,
        proving: Proving,
        history: History,
        site: Site,
    ) -> None:
        self._engine = engine
        self._store = store
        self._fetching = fetching
        self._proving = proving
        self._history = history
        self._site = site

    async def carry_out(self, effects: Sequence[told.Effect], look: Look) -> bool:
        """Whether anything came of it that asks for another plan at once.

        Raises:
            EngineAway: after all that could be done was.
        """
        by_model: dict[str, list[told.Effect]] = {}
        for effect in effects:
            by_model.setdefault(effect.model, []).append(effect)
        ends = await asyncio.gather(*(self._steps(steps, look) for steps in by_model.values()), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return any(ends)

    async def _steps(self, steps: Sequence[told.Effect], look: Look) -> bool:
        has_moved = False
        for step in steps:
            if not await self._done(step, look):
                return has_moved
            has_moved = has_moved or not isinstance(step, told.Probe | told.Remember | told.Remind | told.Show)
        return has_moved

    async def _done(self, step: told.Effect, look: Look) -> bool:
        try:
            is_done = await self._do(step, look)
        except EngineAway:
            raise
        except EngineError as error:
            # What it was about is looked at again: a container that could not be started says so itself.
            logger.warning("%s: %s: %s", step.model, type(step).__name__, error.message)
            return False
        if is_done:
            await self._history.note(step, look)
        return is_done

    async def _do(self, step: told.Effect, look: Look) -> bool:  # noqa: C901, PLR0911, PLR0912  # one case an effect
        store = self._store
        match step:
            case told.Claim(model):
                return await store.claim(model)
            case told.Release(model, node):
                return await store.release(model, node)
            case told.Pull(model):
                self._fetching.begin(look.entries[model])
                return True
            case told.Create():
                return await self._create(step, look)
            case told.Start(_, container):
                await self._engine.start(container)
                return True
            case told.Probe(model, container):
                self._proving.begin(look.entries[model], container, look.base_urls[container])
                return True
            case told.Retire(model, wanted_at, reason):
                return await store.retire(model, wanted_at, reason)
            case told.Drain(_, container, stop_by, reason):
                await store.stopping(container, reason, stop_by)
                await self._engine.signal(container, "SIGTERM")
                return True
            case told.Remind(_, container):
                await self._engine.signal(container, "SIGTERM")
                return True
            case told.Kill(_, container, reason):
                await store.stopping(container, reason, look.rows.read_at)
                await self._engine.signal(container, "SIGKILL")
                return True
            case told.Remove(_, container):
                await self._engine.remove(container)
                await store.forget(container)
                return True
            case told.Show(model, state, reason):
                return await store.show(model, state, reason)
            case told.Fail(model, generation=generation, fault=fault):
                is_counted = await store.fail(
                    model,
                    fault,
                    generation=generation,
                    spec=step.spec,
                    state=step.state,
                    failures=step.failures,
                    retry_at=step.retry_at,
                )
                if generation is None:
                    self._fetching.forget(model)
                return is_counted
            case told.Recover(model):
                return await store.recovered(model)
            case told.Remember(model, seen_bytes):
                return await store.remember_peak(model, seen_bytes)
            case told.Refuse(model, fault, wanted_at):
                return await store.refuse(model, fault, wanted_at)

    async def _create(self, step: told.Create, look: Look) -> bool:
        """A generation is raised first: whatever becomes of the container, no other is made with its number."""
        entry = look.entries[step.model]
        weights = await self._fetching.weights(entry)
        if not isinstance(weights, Weights):  # gone since the plan was made
            return False
        if not await self._store.raise_generation(step.model, step.generation):
            return False
        name = container_name(self._site.installation, step.model, step.generation)
        try:
            await self._engine.create(name, container_config(entry, step, weights, self._site))
        except EngineAway:
            raise
        except NoSuchImage:  # gone since the plan was made: it is fetched again
            return False
        except EngineError as error:
            self._fetching.failed(step.model, Fault("cannot_create", error.message))
            return False
        return True
