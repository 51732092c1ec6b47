"""NVIDIA's management library, read once from beginning to end. Blocks: `gpus.py` knows how long one may wait."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pynvml
from pynvml import NVMLError

from common.fleet.contracts import Gpu


@dataclass(frozen=True, slots=True)
class Reading:
    """What NVML told, and in a sentence each what it could not."""

    gpus: tuple[Gpu, ...]
    faults: tuple[str, ...] = ()


class Nvml:
    """The library, opened when it is first read. `library` has pynvml's functions. One thread at a time."""

    def __init__(self, library: Any = pynvml) -> None:
        self._library = library
        self._is_open = False
        self._faults: tuple[str, ...] = ()

    def read(self) -> Reading:
        """Every GPU in NVML's order, which is nvidia-smi's. Without a driver there is none.

        A GPU that cannot be read is left out, but not for a moment's trouble: what is new is tried a second time.
        """
        reading = self._try()
        if set(reading.faults) - set(self._faults):
            reading = self._try()
        self._faults = reading.faults
        return reading

    def close(self) -> None:
        """Let go of the driver; the next reading opens it again."""
        if self._is_open:
            self._is_open = False
            try:
                self._library.nvmlShutdown()
            except NVMLError:
                return  # which is what was wanted

    def _try(self) -> Reading:
        """After a fault the library is closed: a GPU that fell off the bus stays lost for who had it open."""
        try:
            reading = self._read()
        except NVMLError as error:
            reading = Reading((), (f"NVML finds no GPU: {error}",))
        if reading.faults:
            self.close()
        return reading

    def _read(self) -> Reading:
        if not self._is_open:
            self._library.nvmlInit()
            self._is_open = True
        gpus: list[Gpu] = []
        faults: list[str] = []
        taken = 0
        for number in range(self._library.nvmlDeviceGetCount()):
            try:
                found = [self._gpu(device, taken + place) for place, device in enumerate(self._devices(number))]
            except NVMLError as error:
                faults.append(f"GPU {number} is left out: {error}")
                taken += 1
                continue
            gpus += found
            taken += len(found)
        return Reading(tuple(gpus), tuple(faults) if taken else ("NVML finds no GPU",))

    def _devices(self, number: int) -> Iterator[Any]:
        """The GPU, or where MIG divides it its parts: those are what containers are given, and are counted instead."""
        whole = self._library.nvmlDeviceGetHandleByIndex(number)
        if not self._is_divided(whole):
            yield whole
            return
        for slot in range(self._library.nvmlDeviceGetMaxMigDeviceCount(whole)):
            try:
                yield self._library.nvmlDeviceGetMigDeviceHandleByIndex(whole, slot)
            except pynvml.NVMLError_NotFound:
                continue

    def _is_divided(self, whole: Any) -> bool:
        try:
            current, _ = self._library.nvmlDeviceGetMigMode(whole)
        except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
            return False
        return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)

    def _gpu(self, device: Any, index: int) -> Gpu:
        memory = self._library.nvmlDeviceGetMemoryInfo(device)
        return Gpu(
            uuid=self._library.nvmlDeviceGetUUID(device),
            index=index,
            name=self._library.nvmlDeviceGetName(device),
            total_bytes=memory.total,
            # what the driver keeps for itself counts as used: nobody can be placed there
            used_bytes=memory.total - memory.free,
            utilisation=self._utilisation(device),
        )

    def _utilisation(self, device: Any) -> float | None:
        """Of the last moments, 0 to 1; None where NVML does not tell, as of a part of a GPU."""
        try:
            return float(self._library.nvmlDeviceGetUtilizationRates(device).gpu / 100)
        except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_InvalidArgument):
            return None
