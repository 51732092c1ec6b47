"""What every server that can fetch models promises, and how far one of them has come."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

# A model has some dozens; one that reports more would fill the memory.
MAX_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull has come. `total_bytes` is None until the server knows; `note` is what it is at."""

    done_bytes: int = 0
    total_bytes: int | None = None
    note: str = ""


class Puller(Protocol):
    """One server that keeps models, and fetches those it does not have."""

    async def has(self, name: str) -> bool:
        """Whether the model is there already.

        Raises:
            ProviderError: the server could not be asked; Unsupported where it is none that fetches models.
        """
        ...

    def pull(self, name: str) -> AsyncGenerator[Progress]:
        """Fetch the model; it is there when the generator has ended. Closing it early leaves what has come,
        and the server goes on from there the next time.

        Raises:
            ProviderError: it did not work, and why.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class Layers:
    """A model arrives in layers, each reported for itself."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._size: dict[str, int] = {}

    def report(self, layer: str, done_bytes: int, size_bytes: int, total_bytes: int | None = None) -> Progress:
        """The progress of the whole. `total_bytes` is the server's own sum, if it has one."""
        if layer in self._done or len(self._done) < MAX_LAYERS:
            self._done[layer], self._size[layer] = done_bytes, size_bytes
        return Progress(sum(self._done.values()), total_bytes or sum(self._size.values()) or None)
