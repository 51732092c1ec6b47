"""A chat completion in Anthropic's words: a whole message, or the events of a stream.

Source: Anthropic's API reference, "Messages" and "Streaming Messages".
"""

from typing import Any

import orjson

from api.gateway.counting import usage_of
from api.gateway.json_bytes import dumps
from api.gateway.messages.opaque import blocks_of, signature_of
from api.gateway.rendering import OPAQUE
from api.gateway.said import text_of, thoughts_of
from common.contracts.calls import Usage

Json = dict[str, Any]

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
# A tool that the model itself wants called, not a program of its.
DIRECT: Json = {"type": "tool_use", "caller": {"type": "direct"}}
# Required by Anthropic's schema, where it may be null; clients that read it by a schema of their own want a list.
TEXT: Json = {"type": "text", "citations": []}
# What Anthropic's own servers count besides, and required all the same.
UNKNOWN = ("cache_creation", "inference_geo", "output_tokens_details", "server_tool_use", "service_tier")


def message(completion: Json, model: str) -> Json:
    """The first choice of a chat completion as a message."""
    choice = completion["choices"][0]
    said = choice["message"]
    calls = [(blocks_of(call.get(OPAQUE)), _tool_use(call)) for call in said.get("tool_calls") or ()]
    content: list[Json] = []
    # thoughts that stand signed before a call need not be told without their signature too
    if (thoughts := thoughts_of(said)) and not any(block.get("thinking") for blocks, _ in calls for block in blocks):
        content.append({"type": "thinking", "thinking": thoughts, "signature": ""})
    if text := text_of(said):
        content.append({**TEXT, "text": text})
    for blocks, call in calls:
        content += [*blocks, call]
    return {
        **_head(completion.get("id"), model),
        "content": content,
        **_stopped(STOP_REASONS.get(choice.get("finish_reason"), "end_turn")),
        "usage": usage(completion.get("usage")),
    }


def usage(counted: Json | None) -> Json:
    """Tokens as Anthropic counts them: what was read from a cache stands apart from the rest of the prompt."""
    read = usage_of(counted) or Usage()
    return {
        "input_tokens": max(0, read.prompt_tokens - read.cached_prompt_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": read.cached_prompt_tokens,
        "output_tokens": read.completion_tokens,
        **dict.fromkeys(UNKNOWN),
    }


class MessageStream:
    """Turns chunks into events; one block is open at a time, as the protocol wants it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._has_begun = False
        self._blocks = 0
        self._open: tuple[str, int] | None = None
        self._signatures: set[str] = set()
        self._stop_reason = "end_turn"
        self._usage: Json | None = None

    def feed(self, chunk: Json) -> bytes:
        """The events that a chunk comes to; maybe none."""
        events = self._begin(chunk)
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if thoughts := thoughts_of(delta):
                events += self._block("thinking", 0, {"type": "thinking", "thinking": "", "signature": ""})
                events += self._delta({"type": "thinking_delta", "thinking": thoughts})
            if signature := signature_of(delta.get(OPAQUE)):
                events += self._sign(signature)
            if text := text_of(delta):
                events += self._block("text", 0, {**TEXT, "text": ""})
                events += self._delta({"type": "text_delta", "text": text})
            for call in delta.get("tool_calls") or ():
                events += self._tool_call(call)
            if reason := choice.get("finish_reason"):
                self._stop_reason = STOP_REASONS.get(reason, "end_turn")
        return events

    def end(self) -> bytes:
        """The end of a stream that is whole."""
        said = {**_stopped(self._stop_reason), "container": None}
        return (
            self._begin({})
            + self._close()
            + _event("message_delta", {"delta": said, "usage": usage(self._usage)})
            + _event("message_stop", {})
        )

    def fail(self, kind: str, text: str) -> bytes:
        """The end of one that broke off: no `message_stop` follows."""
        return _event("error", {"error": {"type": kind, "message": text}})

    def _begin(self, chunk: Json) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        head = {**_head(chunk.get("id"), self._model), "content": [], **_stopped(None)}
        return _event("message_start", {"message": {**head, "usage": usage(chunk.get("usage"))}})

    def _tool_call(self, call: Json) -> bytes:
        function = call.get("function") or {}
        block: Json = {**DIRECT, "id": call.get("id"), "name": function.get("name"), "input": {}}
        thoughts = [block for block in blocks_of(call.get(OPAQUE)) if block.get("signature") not in self._signatures]
        events = b"".join(self._thought(thought) for thought in thoughts)
        events += self._block("tool_use", call.get("index") or 0, block)
        if arguments := function.get("arguments"):
            events += self._delta({"type": "input_json_delta", "partial_json": arguments})
        return events

    def _sign(self, signature: str) -> bytes:
        """The end of thoughts that were told as they came; a call that carries them need not tell them again."""
        self._signatures.add(signature)
        events = self._block("thinking", 0, {"type": "thinking", "thinking": "", "signature": ""})
        return events + self._delta({"type": "signature_delta", "signature": signature}) + self._close()

    def _thought(self, block: Json) -> bytes:
        """A block that is there at once, in the events by which a client puts it together."""
        events = self._close()
        self._open = ("thought", 0)
        if block["type"] == "redacted_thinking":
            return events + _event("content_block_start", {"index": self._blocks, "content_block": block})
        begun = {"type": "thinking", "thinking": "", "signature": ""}
        events += _event("content_block_start", {"index": self._blocks, "content_block": begun})
        if thinking := block.get("thinking"):
            events += self._delta({"type": "thinking_delta", "thinking": thinking})
        return events + self._delta({"type": "signature_delta", "signature": block.get("signature") or ""})

    def _block(self, kind: str, index: int, block: Json) -> bytes:
        """Open a block unless that one is open."""
        if self._open == (kind, index):
            return b""
        events = self._close()
        self._open = (kind, index)
        return events + _event("content_block_start", {"index": self._blocks, "content_block": block})

    def _delta(self, delta: Json) -> bytes:
        return _event("content_block_delta", {"index": self._blocks, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        self._blocks += 1
        return _event("content_block_stop", {"index": self._blocks - 1})


def _head(completion_id: Any, model: str) -> Json:
    named = {"id": f"msg_{completion_id or 'unknown'}", "model": model}
    return {**named, "type": "message", "role": "assistant", "container": None}


def _tool_use(call: Json) -> Json:
    function = call.get("function") or {}
    arguments = function.get("arguments") or "{}"
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        parsed = None
    # an object is what the API promises; what the model wrote instead is shown as it wrote it
    given = parsed if isinstance(parsed, dict) else {"arguments": arguments}
    return {**DIRECT, "id": call.get("id"), "name": function.get("name"), "input": given}


def _stopped(reason: str | None) -> Json:
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": None}


def _event(name: str, data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps({"type": name, **data}))
