"""Answers of our adapters in OpenAI's words."""

import base64
import sys
from array import array
from collections.abc import Iterable
from typing import Any

from api.gateway.conforming import Document, head
from api.gateway.json_bytes import dumps
from api.gateway.kinds import Kind
from common.contracts.calls import Usage
from common.contracts.messages import ToolCall
from common.providers.complete import Completion
from common.providers.protocol import Delta, Embeddings, ToolCallDelta

# Where a tool call has what its provider wants back with it. The name is Google's, in its interface like OpenAI's.
OPAQUE = "extra_content"


class ChunkWriter:
    """Writes one stream's chunks: they share their id and their time."""

    def __init__(self, kind: Kind, model: str) -> None:
        self._kind = kind
        self._head = {**head(kind, model), "object": kind.chunk}
        self._has_spoken = False

    def events(self, deltas: Iterable[Delta]) -> bytes:
        """The events of some pieces of the answer; the first of them says who speaks, the last why it ended."""
        out = []
        for delta in deltas:
            if self._kind.name == "completion":
                if delta.text or delta.finish_reason:
                    out.append(self._event({"text": delta.text}, delta.finish_reason))
                continue
            if not self._has_spoken:
                self._has_spoken = True
                out.append(self._event({"delta": {"role": "assistant", "content": "", "refusal": None}}))
            if delta.thoughts or delta.signature:
                out.append(self._event({"delta": _thoughts(delta)}))
            if delta.text:
                out.append(self._event({"delta": {"content": delta.text}}))
            if delta.tool_calls:
                out.append(self._event({"delta": {"tool_calls": [_piece(call) for call in delta.tool_calls]}}))
            if delta.finish_reason:
                out.append(self._event({"delta": {}}, delta.finish_reason))
        return b"".join(out)

    def usage(self, usage: Usage) -> bytes:
        """The event that tells what was counted."""
        return self.beside(usage=usage_document(usage))

    def beside(self, **more: Any) -> bytes:
        """An event that says nothing and carries this."""
        return _written({**self._head, "choices": [], **more})

    def _event(self, said: Document, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason}
        return _written({**self._head, "choices": [choice]})


def answer_document(kind: Kind, model: str, completion: Completion) -> bytes:
    """A whole answer."""
    said: Document
    if kind.name == "completion":
        said = {"text": completion.text}
    else:
        message: Document = {"role": "assistant", "content": completion.text, "refusal": None, "annotations": []}
        if completion.thoughts:
            message["reasoning_content"] = completion.thoughts
        if completion.tool_calls:
            message["content"] = completion.text or None  # as OpenAI itself writes such a turn
            message["tool_calls"] = [_tool_call(call) for call in completion.tool_calls]
        said = {"message": message}
    choice = {"index": 0, **said, "logprobs": None, "finish_reason": completion.finish_reason}
    document: Document = {**head(kind, model), "choices": [choice]}
    if completion.usage is not None:
        document["usage"] = usage_document(completion.usage)
    return dumps(document)


def embeddings_document(embeddings: Embeddings, model: str, *, is_base64: bool) -> bytes:
    """Vectors, in the order of their texts."""
    data = [
        {"object": "embedding", "index": place, "embedding": _base64(vector) if is_base64 else vector}
        for place, vector in enumerate(embeddings.vectors)
    ]
    tokens = embeddings.usage.prompt_tokens if embeddings.usage else 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return dumps({"object": "list", "data": data, "model": model, "usage": usage})


def usage_document(usage: Usage) -> Document:
    """What was counted, as OpenAI writes it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_prompt_tokens},
    }


def _thoughts(delta: Delta) -> Document:
    """A piece of what the model thinks. A signature is for clients of Anthropic alone, which are shown it."""
    said: Document = {"reasoning_content": delta.thoughts}
    return said if delta.signature is None else said | {OPAQUE: {"anthropic": {"signature": delta.signature}}}


def _tool_call(call: ToolCall) -> Document:
    said: Document = {"id": call.id, "type": "function"}
    said["function"] = {"name": call.name, "arguments": call.arguments}
    return said if call.opaque is None else said | {OPAQUE: call.opaque}


def _piece(call: ToolCallDelta) -> Document:
    function: dict[str, Any] = {"arguments": call.arguments}
    piece: Document = {"index": call.index, "function": function}
    if call.id is not None:
        piece |= {"id": call.id, "type": "function"}
    if call.name is not None:
        function["name"] = call.name
    return piece if call.opaque is None else piece | {OPAQUE: call.opaque}


def _base64(vector: tuple[float, ...]) -> str:
    """Little-endian floats of four bytes: what OpenAI's SDKs ask for unless they are told otherwise."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()


def _written(chunk: Document) -> bytes:
    return b"data: %b\n\n" % dumps(chunk)
