"""GPUs by script, where a lifecycle worker would ask NVML: sizes, lag, loss and return, and what others take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.fleet.contracts import Gpu

OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Taken:
    """From `at` on, `who` holds so many bytes of the GPU."""

    at: float
    uuid: str
    who: str
    size: int


class ScriptedGpus:
    """A `GpuReader`. `sizes` are bytes by UUID; `clock` counts seconds.

    What changes is seen `lag_seconds` later, as NVML counts a process for a while after it was killed, and one that
    loads before it has all that it will take. A loss is seen at once.
    """

    def __init__(self, sizes: Mapping[str, int], *, clock: Callable[[], float], lag_seconds: float = 0.0) -> None:
        self._sizes = dict(sizes)
        self._clock = clock
        self._lag_seconds = lag_seconds
        self._taken: list[Taken] = []
        self._lost: set[str] = set()
        self.utilisation: dict[str, float] = {}

    def take(self, uuid: str, size: int, who: str = OTHERS) -> None:
        """From now on `who` holds `size` bytes of this GPU, whatever it held before; 0 gives all back."""
        self._taken.append(Taken(self._clock(), uuid, who, size))

    def lose(self, uuid: str) -> None:
        """It falls off the bus, and what was on it is gone."""
        self._lost.add(uuid)
        self._taken = [one for one in self._taken if one.uuid != uuid]

    def recover(self, uuid: str) -> None:
        """It is there again, empty."""
        self._lost.discard(uuid)

    def used_bytes(self, uuid: str, *, at: float | None = None) -> int:
        """What is in use, now or as it was at some moment."""
        moment = self._clock() if at is None else at
        held = {one.who: one.size for one in self._taken if one.uuid == uuid and one.at <= moment}
        return sum(held.values())

    async def read(self) -> tuple[Gpu, ...]:
        seen_at = self._clock() - self._lag_seconds
        return tuple(
            Gpu(uuid, index, "Scripted", size, self.used_bytes(uuid, at=seen_at), self.utilisation.get(uuid))
            for index, (uuid, size) in enumerate(self._sizes.items())
            if uuid not in self._lost
        )

    async def close(self) -> None:
        """Nothing was open."""
