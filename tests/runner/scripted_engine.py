"""An engine whose every move is a test's."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from runner.contracts import Chat, Embeddings, Piece, Usage
from runner.faults import Refused

SAID = (
    Piece({"content": "Hello"}),
    Piece({"content": " there"}),
    Piece(finish_reason="stop"),
    Piece(usage=Usage(prompt_tokens=3, completion_tokens=2)),
)


class ScriptedEngine:
    """Says its lines; a Refused among them is raised, an Event is waited for."""

    def __init__(self, *script: Piece | Refused | asyncio.Event) -> None:
        self.script: Sequence[Piece | Refused | asyncio.Event] = script or SAID
        self.asked: list[Chat] = []
        self.has_begun = asyncio.Event()
        self.was_stopped = asyncio.Event()
        self.is_closed = False
        self._why_broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def generate(self, chat: Chat) -> AsyncGenerator[Piece]:
        self.asked.append(chat)
        self.has_begun.set()
        try:
            for line in self.script:
                if isinstance(line, Refused):
                    raise line
                if isinstance(line, asyncio.Event):
                    await line.wait()
                else:
                    yield line
        except (asyncio.CancelledError, GeneratorExit):
            self.was_stopped.set()
            raise

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        return Embeddings([[1.0, 0.0] for _ in texts], prompt_tokens=len(texts))

    def resident_bytes(self) -> int:
        return 1024

    def gpu_memory_bytes(self) -> int | None:
        return None

    def break_down(self, why: str) -> None:
        self._why_broken.set_result(why)

    async def broken(self) -> str:
        return await self._why_broken

    async def close(self) -> None:
        self.is_closed = True
