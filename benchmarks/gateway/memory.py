"""What our process weighs while it answers at full rate for minutes."""

import statistics
import threading
import time
from dataclasses import dataclass

import psutil

from benchmarks.gateway.loads import Loads
from benchmarks.gateway.systems import System

SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Weight:
    """Resident megabytes. `growth` is the slope of the second half, in megabytes for 100,000 requests.

    The first half is left out of it: pools, caches and the allocator fill in it and then stay as they are.
    """

    requests: int
    start: float
    end: float
    growth: float


def weigh(loads: Loads, system: System, seconds: float) -> Weight:
    """Ask for so long, one request in four streamed, and weigh meanwhile.

    Raises:
        RuntimeError: it did not answer them all.
    """
    process = psutil.Process(system.pid)
    samples: list[tuple[float, float]] = []
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_SECONDS):
            samples.append((time.monotonic(), resident_megabytes(process)))

    start = resident_megabytes(process)
    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        address = system.address("at_once")
        said = loads.wrk(address, loads.questions(address), seconds)
    finally:
        is_over.set()
        sampler.join()
    if said["not_ok"] or said["broken"]:
        raise RuntimeError(f"while it was weighed: {said}")
    half = samples[len(samples) // 2 :]
    slope_a_second = statistics.linear_regression(*zip(*half, strict=True)).slope if len(half) > 1 else 0.0
    growth = slope_a_second / (said["requests"] / said["seconds"]) * 100_000
    return Weight(int(said["requests"]), start, resident_megabytes(process), growth)


def resident_megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20
