"""A model that can do what clients ask of models: it thinks, calls tools, answers whole or as a stream, and counts."""

from collections.abc import Iterator
from typing import Any

from common.providers.mock_json import document
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import PROSE, tools_to_call

THOUGHTS = ["Two rivers.", " One stone."]
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 12,
    "total_tokens": 15,
    "completion_tokens_details": {"reasoning_tokens": 2},
}

Document = dict[str, Any]


async def capable(exchange: Exchange) -> None:
    """Call the tools that are due, else say what they said, else tell the story; think first, if that was asked for."""
    asked = exchange.body
    calls = [_call(index, tool) for index, tool in enumerate(tools_to_call(asked))]
    words = [] if calls else _words(asked)
    thoughts = THOUGHTS if asked.get("reasoning_effort") else []
    reason = "tool_calls" if calls else "stop"
    if asked.get("stream"):
        await exchange.begin()
        for delta in _deltas(thoughts, words, calls):
            await exchange.event(_chunk({"delta": delta, "finish_reason": None}))
        await exchange.event(_chunk({"delta": {}, "finish_reason": reason}))
        if asked["stream_options"]["include_usage"]:
            await exchange.event({**_chunk({}), "choices": [], "usage": USAGE})
        await exchange.raw(b"data: [DONE]\n\n")
        await exchange.end()
        return
    message: Document = {"role": "assistant", "content": "".join(words) or None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    answer = {**_chunk({"message": message, "finish_reason": reason}), "object": "chat.completion", "usage": USAGE}
    await exchange.answer(200, answer, content_type="application/json")


def _words(asked: Document) -> list[str]:
    last = asked["messages"][-1]
    words = f"The tool says: {last['content']}".split() if last["role"] == "tool" else PROSE
    return [words[0], *(f" {word}" for word in words[1:])]


def _call(index: int, tool: Document) -> Document:
    arguments = document(tool["parameters"], digest=b"capable")
    return {"id": f"call_{index}", "type": "function", "function": {"name": tool["name"], "arguments": arguments}}


def _deltas(thoughts: list[str], words: list[str], calls: list[Document]) -> Iterator[Document]:
    """An answer in pieces; the arguments of a call come in two."""
    yield {"role": "assistant", "content": ""}
    yield from ({"reasoning_content": thought} for thought in thoughts)
    yield from ({"content": word} for word in words)
    for index, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        yield {"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]}
        for piece in (arguments[:half], arguments[half:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _chunk(choice: Document) -> Document:
    return {
        "id": "chatcmpl-of-the-server",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "something-else",
        "choices": [{"index": 0, **choice}],
    }
