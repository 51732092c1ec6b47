"""Pinning a worker to one GPU: it makes the calls to the models that lie there."""

import asyncio
import logging
import socket

from common.catalog.catalog import Catalog
from common.catalog.current import current_catalog
from common.errors import ConfigError
from common.fleet.contracts import Gpu
from common.fleet.queues import gpu_queue
from common.logs import configure_logging
from common.settings import Settings
from worker.gpu_queues import on_gpus
from worker.kinds import Kind
from worker.lifecycle.gpus import NvmlGpus, why_none
from worker.lifecycle.nvml import Nvml
from worker.start import run_worker

# For one small model, and past all that one GPU can be at.
FEWEST_THREADS, MOST_THREADS = 4, 256

logger = logging.getLogger(__name__)


def run_gpu_worker(settings: Settings, device: int, *, threads: int | None = None, name: str | None = None) -> int:
    """Run the worker of this GPU until it is told to stop; returns its exit code.

    Raises:
        ConfigError: there is no such GPU, or it is not ours.
    """
    configure_logging(settings)
    gpu = asyncio.run(pin(settings, device))
    node = name or settings.ultra_node or socket.gethostname()
    kind = gpu_kind(node, device, gpu, current_catalog(settings).value)
    return run_worker(settings, kind, threads=threads, name=name)


async def pin(settings: Settings, device: int, nvml: Nvml | None = None) -> Gpu | None:
    """The GPU with this number of nvidia-smi's. None with GPU_ENABLED=false, under which no model is on one.

    Raises:
        ConfigError: there is no such GPU, or it is not ours.
    """
    if settings.gpu_enabled == "false":
        logger.warning("GPU_ENABLED is false: this worker is pinned to no GPU, and no call will be sent to it")
        return None
    gpus = NvmlGpus(nvml or Nvml(), settings.cuda_visible_devices)
    try:
        reading = await gpus.open()
    finally:
        await gpus.close()
    found = next((gpu for gpu in reading.gpus if gpu.index == device), None)
    if found is None:
        there = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in reading.gpus)
        said = f"There is {there}" if there else why_none(reading)
        raise ConfigError(f"There is no GPU {device} here. {said}. GPU_ENABLED=false starts without one.")
    return found


def gpu_kind(node: str, device: int, gpu: Gpu | None, catalog: Catalog) -> Kind:
    """The kind of worker for this GPU: as many threads as the models that may come to it work on calls at once."""
    slots = sum(entry.slots for entry in on_gpus(catalog))
    threads = min(max(slots, FEWEST_THREADS), MOST_THREADS)
    return Kind("gpu", (gpu_queue(node, device),), threads, gpu=gpu.uuid if gpu else None)
