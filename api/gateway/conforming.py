"""What OpenAI's clients may rely on, put into answers of servers that are nearly compatible.

A choice has `logprobs` and `finish_reason`, a message `content` and `refusal`, both null if need be; what is
null and must not be is left out; `model` is the catalog id that answered. Everything else stays as it is:
reasoning, tool calls and what a server has that we never heard of.
"""

import itertools
import secrets
import time
from typing import Any

from api.gateway.asked import MAX_MODEL_CHARACTERS
from api.gateway.json_bytes import dumps
from api.gateway.kinds import Kind
from common.providers.openai_answer import FINISH_REASONS

# OpenAI's schema has these as strings or objects wherever they are.
NEVER_NULL = ("system_fingerprint", "service_tier", "metadata", "obfuscation")
NEVER_NULL_IN_MESSAGE = ("tool_calls", "function_call", "annotations", "role")

# Ids of our own: random once a process, counted from there.
_PROCESS = secrets.token_hex(8)
_count = itertools.count()

Document = dict[str, Any]


class Garbled(ValueError):
    """This is no answer."""


def head(kind: Kind, model: str) -> Document:
    """The beginning of an answer of ours."""
    return {
        "id": f"{kind.id_prefix}{_PROCESS}{next(_count):08x}",
        "object": kind.document,
        "created": int(time.time()),
        "model": model,
    }


def model_named(answer: Any) -> str | None:
    """What an answer, or an event of one, says it comes from, before it is made to conform."""
    name = answer.get("model") if isinstance(answer, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= MAX_MODEL_CHARACTERS else None


def conform_answer(answer: Any, kind: Kind, model: str) -> Document:
    """A whole answer, made to conform in place.

    Raises:
        Garbled: there is nothing to be made of it.
    """
    if not isinstance(answer, dict) or not isinstance(choices := answer.get("choices"), list) or not choices:
        raise Garbled("no choices")
    for place, choice in enumerate(choices):
        if not isinstance(choice, dict):
            raise Garbled("a choice is no object")
        _conform_choice(choice, place)
        if choice["finish_reason"] is None:
            raise Garbled("it does not say why it ended")
        if kind.name == "completion":
            if not isinstance(choice.get("text"), str):
                raise Garbled("a choice without text")
            continue
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Garbled("a choice without a message")
        _conform_message(message)
    if not isinstance(answer.get("usage"), dict):
        answer.pop("usage", None)
    return _conform_head(answer, kind.document, head(kind, model))


def conform_chunk(chunk: Any, kind: Kind, first: Document) -> Document:
    """An event of a stream, made to conform in place; `first` is what all events of the stream begin with.

    Raises:
        Garbled: there is nothing to be made of it.
    """
    if not isinstance(chunk, dict):
        raise Garbled("an event is no object")
    choices = chunk.get("choices")
    if choices is None:
        choices = chunk["choices"] = []
    if not isinstance(choices, list):
        raise Garbled("its choices are no list")
    for place, choice in enumerate(choices):
        if not isinstance(choice, dict):
            raise Garbled("a choice is no object")
        _conform_choice(choice, place)
        if kind.name == "completion":
            choice["text"] = _text(choice.get("text"))
        else:
            choice["delta"] = _conform_delta(choice.get("delta"))
    if not isinstance(chunk.get("usage"), dict | None):
        del chunk["usage"]
    chunk |= first
    return _conform_head(chunk, kind.chunk, first)


def conform_embeddings(answer: Any, texts: int | None, model: str) -> Document:
    """Vectors, made to conform in place; as many as there were texts, where that is known.

    Raises:
        Garbled: there are others than were asked for.
    """
    if not isinstance(answer, dict) or not isinstance(data := answer.get("data"), list):
        raise Garbled("no vectors")
    if texts is not None and len(data) != texts:
        raise Garbled(f"{len(data)} vectors for {texts} texts")
    for place, item in enumerate(data):
        if not isinstance(item, dict) or not isinstance(item.get("embedding"), list | str):
            raise Garbled("a vector is no list")
        item.setdefault("index", place)
        item["object"] = "embedding"
    counted = answer.get("usage")
    prompt = counted.get("prompt_tokens") if isinstance(counted, dict) else None
    tokens = prompt if isinstance(prompt, int) else 0
    answer["usage"] = {
        "total_tokens": tokens,
        **(counted if isinstance(counted, dict) else {}),
        "prompt_tokens": tokens,
    }
    return answer | {"object": "list", "model": model}


def _conform_head(answer: Document, name: str, first: Document) -> Document:
    for key in ("id", "created"):
        if not isinstance(answer.get(key), type(first[key])):
            answer[key] = first[key]
    answer["object"], answer["model"] = name, first["model"]
    for key in NEVER_NULL:
        if key in answer and answer[key] is None:
            del answer[key]
    return answer


def _conform_choice(choice: Document, place: int) -> None:
    if not isinstance(choice.get("index"), int):
        choice["index"] = place
    choice.setdefault("logprobs", None)
    reason = choice.setdefault("finish_reason", None)
    if reason is None:
        return
    if not isinstance(reason, str) or (reason and reason not in FINISH_REASONS):
        raise Garbled(f"it ended with {str(reason)[:40]!r}")
    if reason != "function_call":
        choice["finish_reason"] = FINISH_REASONS.get(reason)


def _conform_message(message: Document) -> None:
    message["role"] = "assistant"
    message.setdefault("content", None)
    message.setdefault("refusal", None)
    message["annotations"] = message.get("annotations") or []
    for key in NEVER_NULL_IN_MESSAGE:
        if key in message and message[key] is None:
            del message[key]
    for place, call in enumerate(_tool_calls(message)):
        call.setdefault("type", "function")
        call["id"] = call.get("id") or f"call_{place}"


def _conform_delta(delta: Any) -> Document:
    if delta is None:
        return {}
    if not isinstance(delta, dict):
        raise Garbled("a delta is no object")
    for key in NEVER_NULL_IN_MESSAGE:
        if key in delta and delta[key] is None:
            del delta[key]
    for place, call in enumerate(_tool_calls(delta)):
        # servers that send whole calls leave it out
        if not isinstance(call.get("index"), int):
            call["index"] = place
    return delta


def _tool_calls(said: Document) -> list[Document]:
    calls = said.get("tool_calls")
    if calls is None:
        return []
    if not isinstance(calls, list):
        raise Garbled("its tool calls are no list")
    for call in calls:
        if not isinstance(call, dict):
            raise Garbled("a tool call is no object")
        function = call.get("function")
        if function is None:
            continue
        if not isinstance(function, dict):
            raise Garbled("a tool call's function is no object")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):  # an object, from servers that spare us a string
            function["arguments"] = dumps(arguments).decode()
    return calls


def _text(text: Any) -> str:
    if text is not None and not isinstance(text, str):
        raise Garbled("its text is none")
    return text or ""
