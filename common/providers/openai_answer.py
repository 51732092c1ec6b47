"""What OpenAI-compatible servers answer.

Chunks are read through the few fields below rather than through the SDK's models: those accept anything,
and a chunk that is no chunk must not pass for an empty piece of an answer.
"""

from collections import defaultdict
from collections.abc import Iterator

from pydantic import BaseModel

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContentRefused
from common.providers.protocol import Delta, Embeddings, ToolCallDelta
from common.storable import StorableStream, storable

FINISH_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral's, of a context that is full
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Part(BaseModel):
    text: str | None = None


class _Message(BaseModel):
    content: str | list[_Part] | None = None  # parts, as Mistral's thinking models have them; a thought has no text
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def text(self) -> str:
        """What it says."""
        parts = self.content
        return "".join(part.text or "" for part in parts) if isinstance(parts, list) else parts or ""


class _Choice(BaseModel):
    delta: _Message | None = None
    finish_reason: str | None = None


class _PromptTokens(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptTokens | None = None

    def counted(self) -> Usage:
        prompt, completion = self.prompt_tokens or 0, self.completion_tokens or 0
        details = self.prompt_tokens_details
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=self.total_tokens or prompt + completion,
            cached_prompt_tokens=(details.cached_tokens or 0) if details else 0,
        )


class Chunk(BaseModel):
    """One event of a stream."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class _Embedding(BaseModel):
    index: int
    embedding: tuple[float, ...]


class EmbeddingsBody(BaseModel):
    """The answer of `/embeddings`."""

    data: list[_Embedding]
    usage: _Usage | None = None

    def of(self, count: int) -> Embeddings:
        """The vectors of that many texts, in their order.

        Raises:
            ValueError: there are others than were asked for.
        """
        by_index = {item.index: item.embedding for item in self.data}
        if len(self.data) != count or by_index.keys() != set(range(count)):
            raise ValueError(f"{len(self.data)} vectors for {count} texts")
        vectors = tuple(by_index[index] for index in range(count))
        return Embeddings(vectors, self.usage.counted() if self.usage else None)


class _Model(BaseModel):
    id: str


class ModelsBody(BaseModel):
    """The answer of `/models`."""

    data: list[_Model]

    @property
    def names(self) -> list[str]:
        return [storable(model.id) for model in self.data]


class Answer:
    """An answer as its chunks come in. `reasoning_content` is thinking, and no part of it."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._text = StorableStream()
        self._arguments: defaultdict[int, StorableStream] = defaultdict(StorableStream)
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    def feed(self, chunk: Chunk) -> Iterator[Delta]:
        """What the chunk adds; pieces of tool calls one to one.

        Raises:
            ContentRefused: the model declined, in the field that OpenAI has for that.
            BadUpstream: the answer ended in a way that we cannot call whole.
        """
        if chunk.usage:
            self._usage = chunk.usage.counted()
        for choice in chunk.choices or ():
            self._end_with(choice.finish_reason)
            if choice.delta is None:
                continue
            if choice.delta.refusal:
                raise ContentRefused(f"{self._server}'s model declined to answer.")
            text = self._text.feed(choice.delta.text)
            pieces = choice.delta.tool_calls or ()
            tool_calls = tuple(self._tool_call(place, piece) for place, piece in enumerate(pieces))
            if text or tool_calls:
                yield Delta(text, tool_calls=tool_calls)

    def end(self) -> Delta:
        """The last piece.

        Raises:
            BadUpstream: the server never said that its answer was whole.
        """
        if self._finish_reason is None:
            raise BadUpstream(f"{self._server} broke off in the middle of its answer.")
        halves = ((index, held.end()) for index, held in self._arguments.items())
        tool_calls = tuple(ToolCallDelta(index, arguments=half) for index, half in halves if half)
        # Some servers call that a plain stop.
        reason = "tool_calls" if self._arguments and self._finish_reason == "stop" else self._finish_reason
        return Delta(self._text.end(), reason, self._usage, tool_calls)

    def _tool_call(self, place: int, piece: _ToolCall) -> ToolCallDelta:
        index = place if piece.index is None else piece.index  # servers that send whole calls leave it out
        function = piece.function or _Function()
        return ToolCallDelta(
            index=index,
            id=storable(piece.id) if piece.id else None,
            name=storable(function.name) if function.name else None,
            arguments=self._arguments[index].feed(function.arguments or ""),
        )

    def _end_with(self, reason: str | None) -> None:
        if reason is None:
            return
        if reason not in FINISH_REASONS:
            raise BadUpstream(f"{self._server} ended its answer with {storable(reason)[:40]!r}.")
        self._finish_reason = FINISH_REASONS[reason]
