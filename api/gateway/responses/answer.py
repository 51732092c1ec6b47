"""A chat completion as a response: its items, and the events by which they come.

One path for both: a whole answer is a stream of one chunk whose events nobody is sent.
Source: OpenAI's API reference, "Responses" and "Streaming events"; the Open Responses specification.
"""

import time
from collections.abc import Callable
from typing import Any

from api.gateway.counting import reasoning_tokens_of, usage_of
from api.gateway.faults import Fault
from api.gateway.json_bytes import dumps
from api.gateway.said import text_of, thoughts_of
from common.contracts.calls import Usage
from common.errors import BadUpstream
from common.ids import uuid7
from common.providers.length import Length

Json = dict[str, Any]

# What of the request the response repeats, and its value where the request is silent.
REPEATED: dict[str, Any] = {
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "top_p": 1.0,
    "temperature": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
}
TOOL_FIELDS = ("description", "parameters", "strict")
# What an item takes beside its words.
ITEM_CHARACTERS = 256


def response(completion: Json, asked: Json, model: str) -> Json:
    """The first choice of a chat completion as a response to `asked`."""
    choice = completion["choices"][0]
    said = choice["message"]
    calls = [{**call, "index": number} for number, call in enumerate(said.get("tool_calls") or ())]
    delta = {**said, "tool_calls": calls}
    stream = ResponseStream(asked, model)
    stream.feed({"usage": completion.get("usage"), "choices": [{**choice, "delta": delta}]})
    stream.end()
    return stream.document


class ResponseStream:
    """Turns chunks into events, and keeps the document they come to. One item is open at a time."""

    def __init__(self, asked: Json, model: str) -> None:
        self.document = _document(asked, model)
        self._number = -1
        self._open: tuple[str, int] | None = None
        self._finish_reason = "stop"
        self._length = Length()

    def begin(self) -> bytes:
        """What comes before the first token; sent as soon as the request was taken."""
        if self._number >= 0:
            return b""
        return self._event("response.created", response=self.document) + self._event(
            "response.in_progress", response=self.document
        )

    def feed(self, chunk: Json) -> bytes:
        """The events that a chunk comes to; maybe none.

        Raises:
            Fault: the response, all of which is said again at its end, is longer than any answer.
        """
        events = self.begin()
        if chunk.get("usage"):
            self.document["usage"] = _usage(chunk["usage"])
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if thoughts := thoughts_of(delta):
                events += self._opened("reasoning", 0, self._open_reasoning) + self._think(thoughts)
            if text := text_of(delta):
                events += self._opened("message", 0, self._open_message) + self._say(text)
            for call in delta.get("tool_calls") or ():
                events += self._call(call)
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
        return events

    def end(self) -> bytes:
        """The end of a stream that is whole: completed, or cut short by a limit."""
        events = self.begin() + self._close()
        reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(self._finish_reason)
        self.document["completed_at"] = int(time.time())
        self.document["status"] = "incomplete" if reason else "completed"
        self.document["incomplete_details"] = {"reason": reason} if reason else None
        return events + self._event(f"response.{self.document['status']}", response=self.document)

    def fail(self, code: str, text: str) -> bytes:
        """The end of one that broke off.

        Told twice, as OpenAI does: SDKs raise the first, whose readers would not look into a response that failed.
        """
        self.document |= {"status": "failed", "error": {"code": code, "message": text}}
        said = {"code": code, "message": text, "param": None}
        events = self.begin() + self._event("error", **said, error={"type": "server_error", **said})
        return events + self._event("response.failed", response=self.document)

    def _opened(self, kind: str, index: int, opening: Callable[[], bytes]) -> bytes:
        if self._open == (kind, index):
            return b""
        events = self._close()
        self._open = (kind, index)
        return events + opening()

    def _open_reasoning(self) -> bytes:
        part = {"type": "summary_text", "text": ""}
        events = self._add({"type": "reasoning", "id": _id("rs"), "summary": []})
        events += self._told("response.reasoning_summary_part.added", summary_index=0, part=part)
        self._item["summary"].append(part)
        return events

    def _think(self, text: str) -> bytes:
        self._count(len(text))
        self._item["summary"][0]["text"] += text
        return self._told("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def _open_message(self) -> bytes:
        part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        item = {"type": "message", "id": _id("msg"), "status": "in_progress", "role": "assistant", "content": []}
        events = self._add(item)
        events += self._told("response.content_part.added", content_index=0, part=part)
        self._item["content"].append(part)
        return events

    def _say(self, text: str) -> bytes:
        self._count(len(text))
        self._item["content"][0]["text"] += text
        return self._told("response.output_text.delta", content_index=0, delta=text, logprobs=[])

    def _call(self, call: Json) -> bytes:
        function = call.get("function") or {}

        def opening() -> bytes:
            names = {"call_id": call.get("id"), "name": function.get("name"), "arguments": ""}
            return self._add({"type": "function_call", "id": _id("fc"), "status": "in_progress", **names})

        events = self._opened("function_call", call.get("index") or 0, opening)
        if arguments := function.get("arguments"):
            self._count(len(arguments))
            self._item["arguments"] += arguments
            events += self._told("response.function_call_arguments.delta", delta=arguments)
        return events

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        (kind, _), self._open = self._open, None
        item = self._item
        match kind:
            case "reasoning":
                [part] = item["summary"]
                events = self._told("response.reasoning_summary_text.done", summary_index=0, text=part["text"])
                events += self._told("response.reasoning_summary_part.done", summary_index=0, part=part)
            case "message":
                item["status"] = "completed"
                [part] = item["content"]
                events = self._told("response.output_text.done", content_index=0, text=part["text"], logprobs=[])
                events += self._told("response.content_part.done", content_index=0, part=part)
            case _:
                item["status"] = "completed"
                said = {"name": item["name"], "arguments": item["arguments"]}
                events = self._told("response.function_call_arguments.done", **said)
        return events + self._event("response.output_item.done", output_index=self._index, item=item)

    @property
    def _item(self) -> Json:
        item: Json = self.document["output"][-1]
        return item

    @property
    def _index(self) -> int:
        return len(self.document["output"]) - 1

    def _count(self, characters: int) -> None:
        try:
            self._length.count(characters)
        except BadUpstream as error:
            raise Fault(error) from error

    def _add(self, item: Json) -> bytes:
        self._count(ITEM_CHARACTERS)
        self.document["output"].append(item)
        return self._event("response.output_item.added", output_index=self._index, item=item)

    def _told(self, kind: str, **data: Any) -> bytes:
        """An event of the item that is open."""
        return self._event(kind, item_id=self._item["id"], output_index=self._index, **data)

    def _event(self, kind: str, **data: Any) -> bytes:
        self._number += 1
        said = dumps({"type": kind, "sequence_number": self._number, **data})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), said)


def _document(asked: Json, model: str) -> Json:
    repeated = {name: usual if asked.get(name) is None else asked[name] for name, usual in REPEATED.items()}
    repeated["tools"] = [dict.fromkeys(TOOL_FIELDS) | tool for tool in repeated["tools"] or ()]
    reasoning = asked.get("reasoning") or {}
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "incomplete_details": None,
        "model": model,
        "previous_response_id": None,
        "output": [],
        "error": None,
        **repeated,
        "text": asked.get("text") or {"format": {"type": "text"}},
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "usage": None,
        "store": False,  # whatever was asked: there is no place to fetch it from
        "background": False,
    }


def _usage(counted: Json) -> Json:
    read = usage_of(counted) or Usage()
    return {
        "input_tokens": read.prompt_tokens,
        "output_tokens": read.completion_tokens,
        "total_tokens": read.prompt_tokens + read.completion_tokens,
        "input_tokens_details": {"cached_tokens": read.cached_prompt_tokens, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens_of(counted) or 0},
    }


def _id(kind: str) -> str:
    return f"{kind}_{uuid7().hex}"
