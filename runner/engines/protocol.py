"""The port: what the server needs of an engine."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from runner.contracts import Chat, Embeddings, Piece


class Engine(Protocol):
    """One loaded model."""

    def generate(self, chat: Chat) -> AsyncGenerator[Piece]:
        """The answer in pieces, up to one that gives a finish_reason, and one with the usage.

        To close the iterator is to stop the generation. The caller asks at most `slots` at once.

        Raises:
            InvalidInput: before the first piece; `Unsupported` and `ContextTooLong` among them.
            EngineBroken: it failed, here or for good.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Mean-pooled hidden states.

        Raises:
            Unsupported: this model has none to give.
            ContextTooLong: a text is longer than the model takes at once.
            EngineBroken: it failed.
        """
        ...

    def resident_bytes(self) -> int:
        """Memory of the host that this process and the engine's own hold."""
        ...

    def gpu_memory_bytes(self) -> int | None:
        """Memory of the GPU; None without one."""
        ...

    async def broken(self) -> str:
        """Wait until the engine can never answer again, and say why."""
        ...

    async def close(self) -> None:
        """Let the model go."""
        ...
