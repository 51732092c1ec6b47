"""Whatever a client sends, it is told what is wrong with it, or the request goes on: it is no fault of ours."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from api.gateway.asked import Asked, parse
from api.gateway.calling import call_of
from api.gateway.conforming import head
from api.gateway.embedding import embedding_request
from api.gateway.faults import Fault
from api.gateway.fields import MAX_DEPTH, json_object
from api.gateway.fitting import fitted
from api.gateway.kinds import CHAT, COMPLETION, EMBEDDING, Kind
from api.gateway.leading import choosing, merging
from api.gateway.messages.request import chat_request as chat_of_messages
from api.gateway.responses.answer import response
from api.gateway.responses.request import chat_request as chat_of_responses
from common.catalog.entry import ModelEntry
from common.errors import AppError, BadRequest
from tests.unit.odd import Document, odd_versions

ENTRY = ModelEntry.model_validate(
    {"id": "openai-m", "system": "Be brief.", "quirks": {"system": "first_user", "thinking_tokens": 5}}
)
PARAMETERS = {"type": "object", "properties": {"town": {"type": "string"}}}
IMAGE = "data:image/png;base64,AAAA"

CHATTED: Document = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "t",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "s"}},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "t", "content": "Rain."},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 1,
    "temperature": 0.5,
    "max_tokens": 10,
    "max_completion_tokens": 10,
    "stop": ["END"],
    "seed": 1,
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": PARAMETERS}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": PARAMETERS}},
}
COMPLETED: Document = {"model": "m", "prompt": ["Once"], "stream": False, "max_tokens": 5, "stop": "END", "n": 1}
EMBEDDED: Document = {"model": "m", "input": ["one", "two"], "dimensions": 4, "encoding_format": "base64"}
MESSAGES: Document = {
    "model": "m",
    "max_tokens": 10,
    "system": [{"type": "text", "text": "Be kind."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "google:s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Rain."}]}],
        },
    ],
    "stop_sequences": ["END"],
    "tools": [{"name": "f", "description": "d", "input_schema": PARAMETERS}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "metadata": {"user_id": "u"},
    "output_config": {"format": {"type": "json_schema", "schema": PARAMETERS}},
    "stream": True,
}
RESPONSES: Document = {
    "model": "m",
    "instructions": "Be kind.",
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": IMAGE}],
        },
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "Rain."}]},
    ],
    "max_output_tokens": 10,
    "top_logprobs": 1,
    "tools": [{"type": "function", "name": "f", "parameters": PARAMETERS, "strict": True}],
    "tool_choice": {"type": "function", "name": "f"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "a", "schema": PARAMETERS}},
    "metadata": {"a": "b"},
    "stream": True,
}
ANSWER = {
    **head(CHAT, "m"),
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
}


def ask_every_way(kind: Kind, body: Document) -> None:
    """What becomes of a request on its way to a model, of either kind."""
    asked = parse(kind, orjson.dumps(body))
    assert asked.estimated_tokens >= 0
    orjson.dumps(fitted(asked, ENTRY))
    if kind is CHAT:
        merging(asked.body, ["a"])
        choosing(asked.body, ["a"], is_held=True)
    is_served(lambda: embedding_request(asked, "m", 1.0) if kind is EMBEDDING else call_of(asked, "m"))


def is_served(serve: Callable[..., Any], *asked: Any) -> bool:
    """Whether it goes on; no other errors than these may say that it does not."""
    try:
        serve(*asked)
    except (AppError, Fault):
        return False
    return True


@pytest.mark.parametrize(("kind", "right"), [(CHAT, CHATTED), (COMPLETION, COMPLETED), (EMBEDDING, EMBEDDED)])
def test_any_value_in_any_place_is_understood_or_refused(kind: Kind, right: Document) -> None:
    assert is_served(ask_every_way, kind, right)
    outcomes = [is_served(ask_every_way, kind, odd) for odd in odd_versions(right)]
    assert len(outcomes) > 50
    assert not all(outcomes)


@pytest.mark.parametrize(
    ("translated", "right"),
    [(chat_of_messages, MESSAGES), (chat_of_responses, RESPONSES)],
    ids=["messages", "responses"],
)
def test_so_it_is_in_the_dialects(translated: Callable[[Document], Document], right: Document) -> None:
    def served(body: Document) -> None:
        ask_every_way(CHAT, translated(body))
        if translated is chat_of_responses:
            response(ANSWER, body, "m")  # which repeats what was asked

    assert is_served(served, right)
    outcomes = [is_served(served, odd) for odd in odd_versions(right)]
    assert len(outcomes) > 500
    assert not all(outcomes)


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_what_could_not_be_written_again_is_not_read() -> None:
    assert json_object(nested(MAX_DEPTH - 8))
    for depth in (MAX_DEPTH - 7, MAX_DEPTH, 1000, 100_000):
        with pytest.raises(BadRequest):
            json_object(nested(depth))
    broad = {"tools": [{"a": {}}] * 1000}
    assert json_object(orjson.dumps(broad)) == broad


def test_a_request_is_left_as_it_was() -> None:
    asked: Asked = parse(CHAT, orjson.dumps(CHATTED))
    fitted(asked, ENTRY)
    call_of(asked, "m")
    assert asked.body == CHATTED
