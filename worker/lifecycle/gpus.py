"""The GPUs of this machine that are ours to place models on."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from common.errors import ConfigError
from common.fleet.contracts import Gpu
from common.settings import Settings
from worker.lifecycle.nvml import Nvml, Reading

# NVML answers in milliseconds, opening it takes a second or two; a driver in trouble does not answer at all.
PATIENCE_SECONDS = 5.0

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class GpuReader(Protocol):
    """Who says which GPUs there are."""

    async def read(self) -> tuple[Gpu, ...]:
        """Those that are ours and can be used, as they are now. What is wrong with one is logged, not raised."""

    async def close(self) -> None: ...


class NoGpus:
    """GPU_ENABLED=false: nobody looks."""

    async def read(self) -> tuple[Gpu, ...]:
        return ()

    async def close(self) -> None:
        """Nothing was open."""


class NvmlGpus:
    """What NVML tells, in a thread of its own and for `patience_seconds` at most.

    While it does not answer, what it said last is true: a driver that hangs is no reason to give up models that
    run. Each thing that is wrong is logged when it begins, not with every reading.
    """

    def __init__(self, nvml: Nvml, visible: str | None = None, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._nvml = nvml
        self._visible = visible
        self._patience_seconds = patience_seconds
        self._last = Reading(())
        self._asking: asyncio.Future[Reading] | None = None
        self._is_silent = False

    async def open(self) -> Reading:
        """The first reading; from then on `read` has something to say.

        Raises:
            ConfigError: NVML does not answer.
        """
        reading = await self._ask()
        if reading is None:
            raise ConfigError(
                f"NVML did not answer within {self._patience_seconds:g} s: see whether `nvidia-smi` does. "
                "GPU_ENABLED=false goes on without GPUs."
            )
        self._note(reading)
        return self._last

    async def read(self) -> tuple[Gpu, ...]:
        reading = await self._ask()
        if (reading is None) != self._is_silent:
            self._is_silent = reading is None
            if self._is_silent:
                logger.error("NVML does not answer; what it said last of the GPUs is taken for true until it does")
            else:
                logger.warning("NVML answers again")
        if reading is not None:
            self._note(reading)
        return self._last.gpus

    async def close(self) -> None:
        """Let go of the driver, unless it hangs."""
        if self._asking is None or self._asking.done():
            await asyncio.wait((_in_thread(self._nvml.close),), timeout=self._patience_seconds)

    async def _ask(self) -> Reading | None:
        """A new reading, or None: it takes too long. One that hangs is waited for once, and asked no second time."""
        patience_seconds = self._patience_seconds
        if self._asking is None or self._asking.done():
            self._asking = _in_thread(self._nvml.read)
        elif self._is_silent:
            patience_seconds = 0
        await asyncio.wait((self._asking,), timeout=patience_seconds)
        return self._asking.result() if self._asking.done() else None

    def _note(self, reading: Reading) -> None:
        """Take the reading for what is true, and log what differs from the last one."""
        ours = Reading(visible(reading.gpus, self._visible), reading.faults)
        before, now = ({gpu.uuid: gpu for gpu in one.gpus} for one in (self._last, ours))
        for fault in ours.faults:
            if fault not in self._last.faults:
                logger.warning("%s", fault)
        for uuid in before.keys() - now.keys():
            logger.error("GPU %d, %s (%s), is gone", before[uuid].index, before[uuid].name, uuid)
        for uuid in now.keys() - before.keys():
            logger.info("GPU %d is %s (%s), %d MiB", now[uuid].index, now[uuid].name, uuid, now[uuid].total_bytes >> 20)
        self._last = ours


async def open_gpus(settings: Settings, nvml: Nvml | None = None) -> GpuReader:
    """The GPUs as GPU_ENABLED has them.

    Raises:
        ConfigError: it says `true` and there is none, or NVML does not answer.
    """
    if settings.gpu_enabled == "false":
        return NoGpus()
    gpus = NvmlGpus(nvml or Nvml(), settings.cuda_visible_devices)
    first = await gpus.open()
    if settings.gpu_enabled == "true" and not first.gpus:
        await gpus.close()
        raise ConfigError(f"GPU_ENABLED is true, but {why_none(first)}. `auto` goes on without.")
    return gpus


def why_none(reading: Reading) -> str:
    """Why a reading has no GPU of ours."""
    return "; ".join(reading.faults) or "CUDA_VISIBLE_DEVICES names none that is there"


def visible(gpus: Sequence[Gpu], named: str | None) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES names, by number or by (the beginning of a) UUID; all if there is none.

    As CUDA reads it: the list ends before the first name of nothing, so `-1` is none. Numbers are nvidia-smi's.
    """
    if named is None:
        return tuple(gpus)
    chosen: dict[str, Gpu] = {}
    for name in named.split(","):
        found = [gpu for gpu in gpus if _is_named(gpu, name.strip())]
        if len(found) != 1:
            break
        chosen[found[0].uuid] = found[0]
    return tuple(gpu for gpu in gpus if gpu.uuid in chosen)


def _is_named(gpu: Gpu, name: str) -> bool:
    return gpu.index == int(name) if name.isdecimal() else name[:4] in {"GPU-", "MIG-"} and gpu.uuid.startswith(name)


def _in_thread(work: Callable[[], Result]) -> "asyncio.Future[Result]":
    """What `work` returns, from a thread that nobody waits for when the process ends: NVML may never return."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        try:
            tell = partial(future.set_result, work())
        except BaseException as error:  # noqa: BLE001  # it belongs to who waits
            tell = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, name="nvml", daemon=True).start()
    return future
