"""Whatever a model's server sends, it is an answer, in each of our interfaces, or no answer: it is no fault of ours."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from api.gateway.chunks import Chunks
from api.gateway.conforming import Garbled, conform_answer, conform_embeddings
from api.gateway.counting import reasoning_tokens_of, usage_of
from api.gateway.faults import Fault
from api.gateway.json_bytes import dumps, loads
from api.gateway.kinds import CHAT, COMPLETION, Kind
from api.gateway.messages.answer import MessageStream, message
from api.gateway.responses.answer import ResponseStream, response
from api.gateway.saying import refused
from tests.unit.odd import Document, odd_versions

USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
CALL = {
    "index": 0,
    "id": "t",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
    "extra_content": {"a": 1},
}
SAID = {"role": "assistant", "content": "Hi.", "refusal": None, "reasoning_content": "hm", "tool_calls": [CALL]}
HEAD = {"id": "x", "created": 1, "model": "m", "usage": USAGE}
CHATTED: Document = {
    **HEAD,
    "choices": [{"index": 0, "message": SAID, "finish_reason": "tool_calls", "logprobs": None}],
}
COMPLETED: Document = {**HEAD, "choices": [{"index": 0, "text": "Hi.", "finish_reason": "stop"}]}
CHUNK: Document = {**HEAD, "choices": [{"index": 0, "delta": SAID, "finish_reason": None, "logprobs": None}]}
LAST: Document = {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
ERROR: Document = {"error": {"message": "No.", "type": "server_error", "param": "p", "code": "c"}}


def is_answer(read: Callable[..., Any], *sent: Any) -> bool:
    """Whether it was read as one; no other errors than these may say that it was not."""
    try:
        read(*sent)
    except (Garbled, Fault):
        return False
    return True


@pytest.mark.parametrize(("kind", "right"), [(CHAT, CHATTED), (COMPLETION, COMPLETED)], ids=["chat", "completion"])
def test_a_whole_answer(kind: Kind, right: Document) -> None:
    def read(answer: Any) -> None:
        whole = conform_answer(loads(dumps(answer)), kind, "m")
        usage_of(whole.get("usage"))
        reasoning_tokens_of(whole.get("usage"))
        if kind is CHAT:
            dumps(message(whole, "m"))
            dumps(response(whole, {}, "m"))

    assert is_answer(read, right)
    outcomes = [is_answer(read, odd) for odd in odd_versions(right)]
    assert any(outcomes)
    assert not all(outcomes)


def read_stream(*chunks: Any) -> None:
    reading = Chunks(CHAT, "server", "m", wants_usage=True)
    said = b"".join(reading.feed(b"data: " + dumps(one) + b"\n\n") for one in chunks)
    said += reading.feed(b"data: [DONE]\n\n")
    if reading.fault is not None:
        raise reading.fault
    said += reading.end()
    streams = MessageStream("m"), ResponseStream({}, "m")
    for event in filter(None, said.split(b"\n\n")):
        for stream in streams:
            stream.feed(loads(event.removeprefix(b"data: ")))
    for stream in streams:
        stream.end()


def test_a_stream() -> None:
    assert is_answer(read_stream, CHUNK, LAST)
    outcomes = [is_answer(read_stream, odd, LAST) for odd in odd_versions(CHUNK)]
    outcomes += [is_answer(read_stream, CHUNK, odd) for odd in odd_versions(LAST)]
    assert any(outcomes)
    assert not all(outcomes)


def read_vectors(answer: Any) -> None:
    conform_embeddings(loads(dumps(answer)), 1, "m")


def test_vectors() -> None:
    right = {"data": [{"index": 0, "object": "embedding", "embedding": [1.0]}], "usage": USAGE, "model": "m"}
    assert is_answer(read_vectors, right)
    outcomes = [is_answer(read_vectors, odd) for odd in odd_versions(right)]
    assert not all(outcomes)


def test_a_refusal_and_an_error_in_a_stream() -> None:
    for odd in (ERROR, *odd_versions(ERROR)):
        assert isinstance(refused("server", 500, {}, orjson.dumps(odd), None), Fault)
        assert not is_answer(read_stream, odd)


@pytest.mark.parametrize(
    "make", [lambda: MessageStream("m"), lambda: ResponseStream({}, "m")], ids=["messages", "responses"]
)
def test_a_character_cut_in_half_is_whole_for_who_joins_the_halves(make: Callable[[], Any]) -> None:
    stream = make()
    raw = b""
    for half in ("\ud83d", "\ude00"):
        raw += stream.feed({"choices": [{"index": 0, "delta": {"content": half}, "finish_reason": None}]})
    raw += stream.end()
    events = [loads(event.split(b"\ndata: ")[1]) for event in raw.split(b"\n\n") if event]
    told = [
        event["delta"] for event in events if event["type"] in {"content_block_delta", "response.output_text.delta"}
    ]
    halves = [one if isinstance(one, str) else one["text"] for one in told]
    assert "".join(halves).encode("utf-16", "surrogatepass").decode("utf-16") == "😀"


def test_parts_of_an_answer_are_its_words() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hi."}]
    whole = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
    assert [block["text"] for block in message(whole, "m")["content"]] == ["Hi."]
    assert response(whole, {}, "m")["output"][0]["content"][0]["text"] == "Hi."


def test_arguments_that_are_an_object_are_written_down() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    whole = conform_answer({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}, CHAT, "m")
    assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
