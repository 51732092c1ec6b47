"""A request in Ollama's words: the bodies of `/api/chat` and `/api/embed`. Sends nothing.

Source: docs/api.md and api/types.go of github.com/ollama/ollama.
"""

import json
from collections.abc import Iterable
from typing import Any

import orjson

from common.contracts.messages import ImagePart, Message, Tool, ToolCall
from common.errors import Unsupported
from common.providers.protocol import EmbeddingRequest, ModelRequest
from common.storable import storable

# What an entry's `extra` may set beside the messages; all other names are a model's options.
TOP_LEVEL_FIELDS = frozenset({"format", "keep_alive", "think", "truncate", "shift", "logprobs", "top_logprobs"})


def chat_body(request: ModelRequest) -> dict[str, Any]:
    """The body of `POST /api/chat`. What is null, here or in `extra`, is left to the server.

    Raises:
        Unsupported: an image would have to be fetched.
    """
    options = _options(request)
    fields: dict[str, Any] = {"format": request.schema}
    for name, value in request.extra.items():
        (fields if name in TOP_LEVEL_FIELDS else options)[name] = value
    if request.reasoning is not None:
        fields["think"] = not request.reasoning.is_off and (request.reasoning.effort or True)
    body = {
        "model": request.model,
        "messages": _messages(request.messages),
        "stream": True,
        "tools": _tools(request) or None,
        **fields,
        "options": _without_nulls(options) or None,
    }
    return _without_nulls(body)


def embed_body(request: EmbeddingRequest) -> dict[str, Any]:
    """The body of `POST /api/embed`."""
    body = {
        "model": request.model,
        "input": [storable(text) for text in request.texts],
        "dimensions": request.dimensions,
        "truncate": False,  # the vector of a text without its end is the vector of another text
    }
    return _without_nulls(body)


def _options(request: ModelRequest) -> dict[str, Any]:
    sampling = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "seed": request.seed,
    }
    names = {"max_tokens": "num_predict", **request.renamed}
    return {names.get(name, name): value for name, value in sampling.items()}


def _messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The turns. A tool's result names its tool, as Ollama has no ids; they are looked up in the calls before it."""
    said = []
    tools: dict[str, str] = {}
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": storable(message.text)}
        if message.images:
            turn["images"] = [_base64(image) for image in message.images]
        if message.tool_calls:
            turn["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
            tools |= {call.id: call.name for call in message.tool_calls}
        if message.tool_call_id in tools:
            turn["tool_name"] = tools[message.tool_call_id]
        said.append(turn)
    return said


def _base64(image: ImagePart) -> str:
    if not image.url.startswith("data:"):
        raise Unsupported("ollama fetches no images: send the image itself, as data:image/png;base64,…")
    return image.url.partition(",")[2]


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"function": {"name": call.name, "arguments": _arguments(call.arguments)}}


def _arguments(written: str) -> dict[str, Any]:
    """The arguments as an object, the only form that Ollama reads.

    What a model wrote instead of one goes along under a name that says so. To refuse the request would end a
    conversation in which the tool has already complained, and the model is about to do better.
    """
    try:
        arguments = orjson.loads(written or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"malformed": storable(written)}


def _tools(request: ModelRequest) -> list[dict[str, Any]]:
    """The tools that may be called: none where the request says so, as there is no other way to say it."""
    return [] if request.tool_choice == "none" else [_tool(tool) for tool in request.tools]


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def as_json(body: dict[str, Any]) -> bytes:
    """The body's bytes: ASCII, as tools, schemas and `extra` may hold what UTF-8 cannot carry."""
    return json.dumps(body).encode()
