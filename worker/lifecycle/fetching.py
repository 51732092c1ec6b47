"""What a model needs before its container can be made: an image, and weights. Fetched in the background, once each.

Weights of Hugging Face come by a container of the runner's image: it has the internet and the weights' folder, and
serves nothing. Containers that serve have neither.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from common.catalog.local import LocalModel
from common.ending import end
from common.fleet.contracts import Fault
from common.fleet.engines import RUNNERS
from common.fleet.store import FleetStore
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineError, NoSuchImage, WeightsNotPulled
from worker.lifecycle.engines import IMAGES, image_of
from worker.lifecycle.observing import fault_of_end
from worker.lifecycle.template import Site, Weights, puller_config, puller_name
from worker.lifecycle.weights import Missing, WeightsFolder

# People look at progress; the row need not change more often.
PROGRESS_SECONDS = 1.0
# Built on this machine (`make runner-image`): in a registry these names are anybody's.
OURS = frozenset(IMAGES[engine] for engine in RUNNERS)
LAST_WORDS = 20

logger = logging.getLogger(__name__)


class Fetching:
    """Belongs to an event loop. `pulls` are those under way, and the faults of others until they are forgotten."""

    def __init__(
        self, engine: DockerEngine, store: FleetStore, folder: WeightsFolder, site: Site, wake: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._store = store
        self._folder = folder
        self._site = site
        self._wake = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._faults: dict[str, Fault] = {}

    @property
    def pulls(self) -> Mapping[str, Fault | None]:
        return {**self._faults, **dict.fromkeys(self._tasks)}

    async def present(self, entries: Iterable[LocalModel]) -> frozenset[str]:
        """Those of the models whose containers could be made now."""
        wanted = [entry for entry in entries if entry.id not in self._faults and entry.id not in self._tasks]
        images = {image_of(entry) for entry in wanted}
        there = {image for image in images if await self._engine.has_image(image)}
        candidates = [entry for entry in wanted if image_of(entry) in there]
        found = [await self.weights(entry) for entry in candidates]
        return frozenset(entry.id for entry, one in zip(candidates, found, strict=True) if isinstance(one, Weights))

    async def weights(self, entry: LocalModel) -> Weights | Missing | Fault:
        """Where a model's weights are."""
        return await asyncio.to_thread(self._folder.find, entry)

    def begin(self, entry: LocalModel) -> None:
        """Fetch what is missing, unless that is under way."""
        self._faults.pop(entry.id, None)
        if entry.id not in self._tasks:
            self._tasks[entry.id] = asyncio.create_task(self._fetch(entry))

    def failed(self, model: str, fault: Fault) -> None:
        """Whatever was fetched for it, no container can be made of it."""
        self._faults[model] = fault
        self._wake()

    def forget(self, model: str) -> None:
        """The fault was counted: the next attempt is a new one."""
        self._faults.pop(model, None)

    def forget_all_but(self, wanted: set[str]) -> None:
        """Who is asked for again is not told why an earlier fetching failed, which nobody waited for any more."""
        self._faults = {model: fault for model, fault in self._faults.items() if model in wanted}

    async def close(self) -> None:
        """Stop fetching. A container that pulls weights goes on, and the next worker waits for it."""
        await end(self._tasks.values())

    async def _fetch(self, entry: LocalModel) -> None:
        try:
            await self._image(entry)
            weights = await self.weights(entry)
            if isinstance(weights, Missing):
                await self._pull_weights(entry, weights)
                weights = await self._pulled(entry)
            if isinstance(weights, Fault):
                self._faults[entry.id] = weights
        except EngineError as error:
            self._faults[entry.id] = Fault(error.code, error.message)
        except Exception as error:
            logger.exception("fetching %s failed in our own code", entry.id)
            self._faults[entry.id] = Fault("cannot_fetch", f"{type(error).__name__}: {error}")
        finally:
            del self._tasks[entry.id]
            self._wake()

    async def _pulled(self, entry: LocalModel) -> Weights | Fault:
        """What a pull that ended well has brought: else it would be begun again and again."""
        weights = await self.weights(entry)
        if isinstance(weights, Missing):
            return Fault(
                "weights_elsewhere",
                f"Its weights were pulled, and are not at {weights.folder} of the weights' folder: see that"
                " ULTRA_WEIGHTS_PATH and ULTRA_WEIGHTS_VOLUME are the same place.",
            )
        return weights

    async def _image(self, entry: LocalModel) -> None:
        image = image_of(entry)
        if await self._engine.has_image(image):
            return
        if image in OURS:
            raise NoSuchImage(image, "it is built on this machine, by `make runner-image`")
        show = self._shows(entry.id, "image")
        async for tally in self._engine.pull(image):
            await show({"done_bytes": tally.done_bytes, "total_bytes": tally.total_bytes})

    async def _pull_weights(self, entry: LocalModel, missing: Missing) -> None:
        """Returns when they are there.

        Raises:
            EngineError: the engine's, or what the container said before it failed.
        """
        mount, user = await asyncio.to_thread(self._folder.prepare, missing)
        config = puller_config(entry, mount, missing.inside, user, self._site)
        # One that a worker left behind, which was stopped meanwhile, goes on.
        container = await self._engine.create(puller_name(self._site.installation, entry.id), config)
        await self._engine.start(container)
        show = self._shows(entry.id, "weights")
        async for line in self._engine.logs(container, tail=1, follow=True):
            await show(_progress_in(line.text))
        ended = await self._engine.inspect(container)
        last = [line async for line in self._engine.logs(container, tail=LAST_WORDS)]
        await self._engine.remove(container)
        if ended.exit_code != 0:
            raise WeightsNotPulled(fault_of_end(ended, last).message)

    def _shows(self, model: str, phase: str) -> Callable[[dict[str, Any]], Awaitable[None]]:
        loop = asyncio.get_running_loop()
        shown_at = -PROGRESS_SECONDS

        async def show(progress: dict[str, Any]) -> None:
            nonlocal shown_at
            if loop.time() - shown_at >= PROGRESS_SECONDS:
                shown_at = loop.time()
                with suppress(SQLAlchemyError, OSError):  # a pull goes on though Postgres is away
                    await self._store.show_progress(model, {"phase": phase, **progress})

        return show


def _progress_in(line: str) -> dict[str, Any]:
    """The bytes that a line of the puller tells of, if any."""
    try:
        said = orjson.loads(line)
        return {"done_bytes": int(said["bytes"]), "total_bytes": int(said["total_bytes"])}
    except (KeyError, TypeError, ValueError):
        return {}
