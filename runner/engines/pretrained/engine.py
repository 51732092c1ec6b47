"""Asyncio on one side, the thread that computes on the other."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from functools import partial

import torch
from jinja2 import TemplateError

from runner.contracts import Chat, Embeddings, Piece
from runner.engines.pretrained import asking
from runner.engines.pretrained.batcher import Batcher
from runner.engines.pretrained.embedding import embed
from runner.engines.pretrained.forward import Batch
from runner.engines.pretrained.loading import Loaded, load_model
from runner.engines.pretrained.own_thread import in_own_thread
from runner.engines.pretrained.row import Row
from runner.faults import ContextTooLong, EngineBroken, InvalidInput, NoMemory, Refused
from runner.memory import resident_bytes
from runner.settings import Settings

# Texts that are embedded in one go, between two steps of the answers.
EMBEDDED_AT_ONCE = 8


async def load(settings: Settings) -> "Transformers":
    """The engine, its model loaded.

    Raises:
        Fatal: it cannot be; the kind says what to change.
    """
    return Transformers(await in_own_thread(lambda: load_model(settings)))


class Transformers:
    """One model of transformers."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._batcher = Batcher(Batch(loaded.model, loaded.pad_token))
        self._batcher.start()

    async def generate(self, chat: Chat) -> AsyncGenerator[Piece]:
        """See the port."""
        asking.refuse_unsupported(chat)
        prompt = await asyncio.to_thread(self._prompt, asking.turns(chat))
        room = self._loaded.context_tokens - len(prompt)
        if room < 1:
            raise ContextTooLong(len(prompt), self._loaded.context_tokens)
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Piece | Refused] = asyncio.Queue()

        def give(piece: Piece | Refused) -> None:
            # The loop may be gone when the process ends.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        row = Row(
            prompt,
            min(chat.most_tokens or room, room),
            asking.choosing(chat, self._loaded.choosing),
            ends=self._loaded.ends,
            stops=chat.stops,
            decode=self._decode,
            give=give,
        )
        self._batcher.add(row)
        try:
            while True:
                piece = await pieces.get()
                if isinstance(piece, Refused):
                    raise piece
                yield piece
                if piece.usage is not None:
                    return
        finally:
            row.leave()

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See the port."""
        tokens = await asyncio.to_thread(lambda: [self._loaded.tokenizer(text)["input_ids"] for text in texts])
        longest = max(map(len, tokens))
        if longest > self._loaded.context_tokens:
            raise ContextTooLong(longest, self._loaded.context_tokens, parameter="input")
        if not min(map(len, tokens)):
            raise InvalidInput("A text has no token: leave it out.", parameter="input")
        vectors: list[list[float]] = []
        for first in range(0, len(tokens), EMBEDDED_AT_ONCE):
            some = tokens[first : first + EMBEDDED_AT_ONCE]
            work = partial(embed, self._loaded.model, some, self._loaded.pad_token)
            try:
                vectors.extend(await asyncio.wrap_future(self._batcher.between(work)))
            except MemoryError:
                raise NoMemory from None
            except RuntimeError as error:
                raise EngineBroken(f"The model failed: {error}") from error
        return Embeddings(vectors, sum(map(len, tokens)))

    def resident_bytes(self) -> int:
        """See the port."""
        return resident_bytes(os.getpid())

    def gpu_memory_bytes(self) -> int | None:
        """What torch's allocator holds; the CUDA context, some hundred megabytes, is not its own."""
        if not torch.cuda.is_available():
            return None
        return sum(int(torch.cuda.memory_reserved(device)) for device in range(torch.cuda.device_count()))

    async def broken(self) -> str:
        """See the port."""
        return await asyncio.wrap_future(self._batcher.broken)

    async def close(self) -> None:
        """See the port."""
        self._batcher.stop()

    def _prompt(self, turns: list[dict[str, str]]) -> list[int]:
        """The conversation in tokens; a model without a template is given the bare texts."""
        tokenizer = self._loaded.tokenizer
        if not tokenizer.chat_template:
            return list(tokenizer("\n\n".join(turn["content"] for turn in turns))["input_ids"])
        try:
            return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
        except TemplateError as error:
            raise InvalidInput(
                f"The model's chat template refuses these turns: {error}", parameter="messages"
            ) from None

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._loaded.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))
