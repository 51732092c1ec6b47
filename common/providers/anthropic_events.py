"""The events of a streamed message, read into the pieces of an answer. Pure.

A message is `message_start`, then blocks (`content_block_start`, `content_block_delta`…,
`content_block_stop`), then `message_delta` with the reason for the end, then `message_stop`. Events, blocks
and deltas of kinds that we do not know add nothing to the answer, as the API's versioning policy asks.
Thinking is told apart from it, where it was asked for; and the tool call that it led to carries it, as the API wants
both back.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContentRefused
from common.providers.protocol import Delta, ToolCallDelta
from common.storable import StorableStream, storable

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    # A limit of the server's on its own tools cut the turn short; what was said until then is good.
    "pause_turn": "length",
    "tool_use": "tool_calls",
}

# Blocks that are no part of the answer, and that the API wants back before the tool calls they led to.
THOUGHTS = frozenset({"thinking", "redacted_thinking"})

MAX_EXPLANATION_CHARACTERS = 400


class _Counts(BaseModel):
    """Tokens so far. Each event has those that it knows; the last one that names a number is right."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(BaseModel):
    usage: _Counts | None = None


class _Block(BaseModel):
    type: str
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class _StopDetails(BaseModel):
    explanation: str | None = None


class _Delta(BaseModel):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None


class _Event(BaseModel):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Counts | None = None


@dataclass(slots=True)
class _ToolUse:
    """A tool call that is being written."""

    index: int
    block: _Block
    arguments: StorableStream = field(default_factory=StorableStream)
    is_written: bool = False


class MessageReader:
    """Reads one message."""

    def __init__(self, server: str, *, shows_thoughts: bool = False) -> None:
        self._server = server
        self._shows_thoughts = shows_thoughts
        self._text = StorableStream()
        self._thinking = StorableStream()
        self._tools: dict[int, _ToolUse] = {}
        self._thoughts: list[_Block] = []
        self._counts: dict[str, int] = {}
        self._finish_reason: str | None = None

    def feed(self, event: object) -> Delta | None:
        """What the event adds to the answer, if anything.

        Raises:
            BadUpstream: it is no event, or ends the message in a way that we cannot call whole.
            ContentRefused: the model declined.
        """
        try:
            read = _Event.model_validate(event)
        except ValidationError as error:
            raise self._no_piece() from error
        match read:
            case _Event(type="message_start", message=_Message(usage=_Counts() as counts)):
                self._count(counts)
            case _Event(type="content_block_start", content_block=_Block() as block):
                return self._begin(read.index, block)
            case _Event(type="content_block_delta"):
                return self._go_on(read.index, read.delta)
            case _Event(type="content_block_stop"):
                return self._end_tool(read.index)
            case _Event(type="message_delta"):
                self._count(read.usage or _Counts())
                self._end(read.delta or _Delta())
        return None

    def last(self) -> Delta:
        """The last piece, with the finish reason and the usage.

        Raises:
            BadUpstream: the message has not ended.
        """
        if self._finish_reason is None:
            raise BadUpstream(f"{self._server} broke off in the middle of its answer.")
        return Delta(self._text.end(), self._finish_reason, self._usage())

    def _no_piece(self) -> BadUpstream:
        return BadUpstream(f"{self._server} sent something that is no piece of an answer.")

    def _begin(self, place: int, block: _Block) -> Delta | None:
        if block.type == "tool_use":
            return self._begin_tool(place, block)
        if block.type in THOUGHTS:
            self._thoughts.append(block)
        return None

    def _go_on(self, place: int, delta: _Delta | None) -> Delta | None:
        match delta:
            case _Delta(type="text_delta", text=str() as text):
                return Delta(piece) if (piece := self._text.feed(text)) else None
            case _Delta(type="input_json_delta", partial_json=str() as piece):
                return self._write_tool(place, piece)
            case None | _Delta(type="text_delta" | "input_json_delta"):
                raise self._no_piece()
            case _Delta(type="thinking_delta" | "signature_delta") if self._thoughts:
                return self._think(self._thoughts[-1], delta)
        return None

    def _think(self, thought: _Block, delta: _Delta) -> Delta | None:
        thought.thinking = (thought.thinking or "") + (delta.thinking or "")
        thought.signature = (thought.signature or "") + (delta.signature or "")
        if not self._shows_thoughts:
            return None
        if delta.signature:
            return Delta(thoughts=self._thinking.end(), signature=storable(thought.signature))
        said = self._thinking.feed(delta.thinking or "")
        return Delta(thoughts=said) if said else None

    def _begin_tool(self, place: int, block: _Block) -> Delta:
        tool = self._tools[place] = _ToolUse(len(self._tools), block)
        thoughts = [
            {name: storable(value) for name, value in thought if isinstance(value, str)} for thought in self._thoughts
        ]
        self._thoughts.clear()
        opaque = {"anthropic": {"thinking_blocks": thoughts}} if thoughts else None
        begun = ToolCallDelta(tool.index, storable(block.id or ""), storable(block.name or ""), opaque=opaque)
        return Delta(tool_calls=(begun,))

    def _write_tool(self, place: int, piece: str) -> Delta | None:
        """A piece of the arguments. Other blocks are written in JSON too: the server's own tools."""
        tool = self._tools.get(place)
        if tool is None or not (said := tool.arguments.feed(piece)):
            return None
        tool.is_written = True
        return Delta(tool_calls=(ToolCallDelta(tool.index, arguments=said),))

    def _end_tool(self, place: int) -> Delta | None:
        """The rest of the arguments. Those of a tool that takes none are never written, and are `{}`."""
        tool = self._tools.get(place)
        if tool is None:
            return None
        rest = tool.arguments.end() if tool.is_written else json.dumps(tool.block.input or {})
        return Delta(tool_calls=(ToolCallDelta(tool.index, arguments=rest),)) if rest else None

    def _count(self, counts: _Counts) -> None:
        self._counts |= counts.model_dump(exclude_none=True)

    def _end(self, delta: _Delta) -> None:
        match delta.stop_reason:
            case None:
                return
            case "refusal":
                why = (delta.stop_details and delta.stop_details.explanation) or ""
                said = f": {storable(why)[:MAX_EXPLANATION_CHARACTERS]}" if why else "."
                raise ContentRefused(f"{self._server}'s model declined to answer{said}")
            case reason if reason not in FINISH_REASONS:
                raise BadUpstream(f"{self._server} ended its answer with {storable(reason)[:40]!r}.")
            case reason:
                self._finish_reason = FINISH_REASONS[reason]

    def _usage(self) -> Usage | None:
        """`input_tokens` are those that no cache had a part in; a prompt is all of them."""
        if not self._counts:
            return None
        read = self._counts.get("cache_read_input_tokens", 0)
        prompt = self._counts.get("input_tokens", 0) + self._counts.get("cache_creation_input_tokens", 0) + read
        completion = self._counts.get("output_tokens", 0)
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            cached_prompt_tokens=read,
        )
