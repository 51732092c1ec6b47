"""The one model of this process: loaded, proved with a token, served, drained."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Any

from runner.contracts import Chat, Embeddings, Message, Piece
from runner.engines.protocol import Engine
from runner.faults import (
    Draining,
    EngineBroken,
    EngineFailed,
    Fatal,
    LoadFailed,
    NoMemory,
    NotReady,
    OutOfMemory,
    Refused,
    TookTooLong,
)
from runner.line import Line
from runner.memory import resident_bytes
from runner.metrics import Metrics
from runner.settings import Settings

logger = logging.getLogger(__name__)

PROBE = Chat(messages=[Message(role="user", content="Hello")], max_tokens=1)


class Status(StrEnum):
    """Where this instance is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Instance:
    """Answers calls once it is ready; `ended` tells when the process should go, and with which exit code."""

    def __init__(self, settings: Settings, load: Callable[[Settings], Awaitable[Engine]], metrics: Metrics) -> None:
        self.settings = settings
        self.status = Status.LOADING
        self.error: Fatal | None = None
        self.load_seconds: float | None = None
        self._load = load
        self._metrics = metrics
        self._engine: Engine | None = None
        self._line = Line(settings.slots, settings.queue)
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Load, serve, and return the exit code: after a drain 0, after a fatal fault its own."""
        serving = asyncio.create_task(self._serve())
        try:
            return await self._ended
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            if self._engine is not None:
                await self._engine.close()

    def drain(self) -> None:
        """Take nothing new, finish what is in flight, then end. A second call changes nothing."""
        if self.status is Status.LOADING:
            self._end(0)
        elif self.status is Status.READY:
            self.status = Status.DRAINING
            logger.info("draining: %d in flight, %d waiting", self._line.in_flight, self._line.waiting)
            self._line.close()
            self._draining = asyncio.create_task(self._end_when_drained())

    async def answer(self, chat: Chat) -> AsyncGenerator[Piece]:
        """The pieces of one answer, from the line to the last. To close it is to stop the generation.

        Raises:
            Refused: it was not answered, or not to its end.
        """
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.deadline_seconds):
                async with self._line.place():
                    began = time.monotonic()
                    self._metrics.waited(began - asked)
                    async with aclosing(self._ready_engine().generate(chat)) as pieces:
                        is_first = True
                        async for piece in pieces:
                            if is_first:
                                self._metrics.first_piece(time.monotonic() - began)
                                is_first = False
                            if piece.usage is not None:
                                self._metrics.used(piece.usage)
                            yield piece
        except TimeoutError:
            raise TookTooLong from None

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of these texts.

        Raises:
            Refused: there are none.
        """
        try:
            async with asyncio.timeout(self.settings.deadline_seconds), self._line.place():
                return await self._ready_engine().embed(texts)
        except TimeoutError:
            raise TookTooLong from None

    def refusal(self) -> Refused | None:
        """Why no call would be taken now; None when one would."""
        match self.status:
            case Status.READY:
                return None
            case Status.LOADING:
                return NotReady()
            case Status.DRAINING:
                return Draining()
            case Status.FAILED:
                return EngineBroken(self.error.message if self.error else None)

    def health(self) -> dict[str, Any]:
        """`GET /health`: what this instance is and does."""
        engine = self._engine
        health = {
            "status": self.status,
            "model": self.settings.model_id,
            "engine": self.settings.engine,
            "in_flight": self._line.in_flight,
            "waiting": self._line.waiting,
            "idle_seconds": self._line.idle_seconds if self.status is not Status.LOADING else None,
            "memory_bytes": resident_bytes_of(engine),
            "gpu_memory_bytes": engine.gpu_memory_bytes() if engine else None,
            "load_seconds": self.load_seconds,
        }
        return health | ({"error": self.error.message, "code": self.error.code} if self.error else {})

    def _ready_engine(self) -> Engine:
        if self._engine is None:
            raise NotReady
        return self._engine

    async def _serve(self) -> None:
        began = time.monotonic()
        try:
            self._engine = await self._load(self.settings)
            await self._prove(self._engine)
        except Fatal as fault:
            self._fail(fault)
            return
        except Exception as error:
            logger.exception("the model could not be loaded")
            self._fail(LoadFailed(f"The model could not be loaded: {type(error).__name__}: {error}"))
            return
        self.load_seconds = time.monotonic() - began
        self._line.touch()
        self.status = Status.READY
        logger.info("%s is ready after %.1f s", self.settings.model_id, self.load_seconds)
        self._fail(EngineFailed(await self._engine.broken()))

    async def _prove(self, engine: Engine) -> None:
        """Generate one token: a model that is loaded may still be unable to."""
        try:
            async with asyncio.timeout(self.settings.deadline_seconds), aclosing(engine.generate(PROBE)) as pieces:
                if [piece async for piece in pieces if piece.finish_reason]:
                    return
        except NoMemory as error:
            raise OutOfMemory("The model is loaded, and nothing is left to generate with: give it more.") from error
        except (Refused, TimeoutError) as error:
            raise LoadFailed(f"The model is loaded and cannot generate: {error}") from error
        raise LoadFailed("The model is loaded, and its first answer had no end.")

    async def _end_when_drained(self) -> None:
        await self._line.drained()
        self._end(0)

    def _fail(self, fault: Fatal) -> None:
        self.status = Status.FAILED
        self.error = fault
        self._line.close()
        self._end(fault.exit_code)

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)


def resident_bytes_of(engine: Engine | None) -> int:
    """Memory of the host that the engine holds; before there is one, what this process does."""
    return engine.resident_bytes() if engine else resident_bytes(os.getpid())
