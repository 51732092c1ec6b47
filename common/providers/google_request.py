"""A request in Google's words: the bodies of `streamGenerateContent` and `batchEmbedContents`. Sends nothing.

Where its grammar differs from ours: the system prompt stands apart from the turns; a turn is a list of
parts; users and models take turns, so neighbours of one role become one turn; a tool's result is a part of
the user's turn, and names its tool. Source: the reference at ai.google.dev/api/generate-content.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import orjson

from common.contracts.messages import ImagePart, Message, TextPart, Tool, ToolCall
from common.contracts.reasoning import Reasoning
from common.errors import Unsupported, UpstreamRejected
from common.providers.protocol import ModelRequest
from common.storable import storable

# Sampling parameters by their names here; a catalog entry may rename them once more.
NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
}

MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}

# Since Gemini 3 a model signs the calls it makes, and refuses a history without signatures. Turns of another
# provider's model have none; this is what ai.google.dev/gemini-api/docs/thought-signatures has for them.
UNSIGNED = "skip_thought_signature_validator"

# An id of our own making, see `google_answer`. It is the same in every answer, so it tells Google nothing.
MADE_UP_ID = re.compile(r"call_\d+")

# A file that is fetched may come with its type; where the name tells none, Google looks for itself.
IMAGE_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
}

Part = dict[str, Any]


def resource(model: str) -> str:
    """The model as a path: `models/NAME`, unless its name has a collection already, as in `tunedModels/NAME`."""
    return quote(model if "/" in model else f"models/{model}")


def generate_body(request: ModelRequest) -> dict[str, Any]:
    """The body of `POST {model}:streamGenerateContent`.

    The catalog's `extra` goes into it: objects are merged, lists joined, anything else is replaced, and what it
    sets to null is left out. Only what a call says of thinking goes before it.

    Raises:
        Unsupported: an image that Google would not fetch, or in a place where it sees none.
        UpstreamRejected: a tool's result without the call it answers.
    """
    ours = {
        "contents": _contents(request.messages),
        "systemInstruction": _system(request.messages),
        "tools": [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}] if request.tools else None,
        "toolConfig": _tool_config(request.tool_choice) if request.tools else None,
        "generationConfig": _generation_config(request) or None,
    }
    return _merged(_merged(_without_nulls(ours), request.extra), _thinking(request.reasoning))


def embed_body(model: str, texts: Iterable[str], dimensions: int | None) -> dict[str, Any]:
    """The body of `POST {model}:batchEmbedContents`, which wants the model named again for every text."""
    return {
        "requests": [
            _without_nulls({"model": model, "content": {"parts": [{"text": text}]}, "outputDimensionality": dimensions})
            for text in texts
        ]
    }


def as_json(body: dict[str, Any]) -> bytes:
    """The body's bytes. What UTF-8 cannot carry is replaced wherever it stands: a lone surrogate has no bytes."""
    return storable(json.dumps(body, ensure_ascii=False)).encode()


def _system(messages: Iterable[Message]) -> dict[str, Any] | None:
    """Every system prompt, in one."""
    prompts = [message.text for message in messages if message.role == "system" and message.text.strip()]
    return {"parts": [{"text": "\n\n".join(prompts)}]} if prompts else None


def _contents(messages: Iterable[Message]) -> list[dict[str, Any]]:
    said = [(role, parts) for role, parts in _turns(messages) if parts]
    return [
        {"role": role, "parts": [part for _, parts in turn for part in parts]}
        for role, turn in itertools.groupby(said, key=lambda pair: pair[0])
    ]


def _turns(messages: Iterable[Message]) -> Iterator[tuple[str, list[Part]]]:
    """Each message's role and parts; a tool's result finds its call among the turns before it."""
    calls: dict[str, ToolCall] = {}
    for message in messages:
        match message.role:
            case "user":
                yield "user", _content(message)
            case "assistant":
                calls |= {call.id: call for call in message.tool_calls}
                yield "model", _content(message) + _function_calls(message.tool_calls)
            case "tool":
                yield "user", [_function_response(message, calls.get(message.tool_call_id or ""))]


def _content(message: Message) -> list[Part]:
    """Text and images in their order. Empty text is left out: the API refuses it."""
    parts = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
    return [
        _image(part) if isinstance(part, ImagePart) else {"text": part.text}
        for part in parts
        if isinstance(part, ImagePart) or part.text
    ]


def _image(image: ImagePart) -> Part:
    if image.url.startswith("data:"):
        kind, _, data = image.url.removeprefix("data:").partition(";base64,")
        return {"inlineData": {"mimeType": kind, "data": data}}
    if not image.url.startswith("https:"):
        raise Unsupported("google fetches images over https alone: send it so, or as data:image/png;base64,…")
    suffix = image.url.partition("?")[0].rpartition(".")[2].lower()
    return {"fileData": _without_nulls({"fileUri": image.url, "mimeType": IMAGE_TYPES.get(suffix)})}


def _function_calls(calls: Iterable[ToolCall]) -> list[Part]:
    """The calls of one turn with their signatures; the first one must have one."""
    parts: list[Part] = [
        {
            "functionCall": {**_id(call.id), "name": call.name, "args": _arguments(call.arguments)},
            **_signature(call),
        }
        for call in calls
    ]
    for first in parts[:1]:
        first.setdefault("thoughtSignature", UNSIGNED)
    return parts


def _signature(call: ToolCall) -> dict[str, str]:
    ours = (call.opaque or {}).get("google")
    signature = ours.get("thought_signature") if isinstance(ours, dict) else None
    return {"thoughtSignature": signature} if isinstance(signature, str) else {}


def _function_response(message: Message, call: ToolCall | None) -> Part:
    """A tool's result, word for word: as an object of its own its large numbers would lose digits."""
    if call is None:
        raise UpstreamRejected(
            f"The result of tool call {message.tool_call_id!r} answers no call of a turn before it, "
            "and google must be told the tool's name: send the assistant's turn with its tool_calls too."
        )
    if message.images:
        raise Unsupported("google sees no images in a tool's result: send them in a user's turn.")
    return {"functionResponse": {**_id(call.id), "name": call.name, "response": {"output": message.text}}}


def _id(given: str) -> dict[str, str]:
    return {} if MADE_UP_ID.fullmatch(given) else {"id": given}


def _arguments(written: str) -> dict[str, Any]:
    """The arguments as an object, the only form that Google reads.

    What a model wrote instead of one goes along under a name that says so. To refuse the request would end a
    conversation in which the tool has already complained, and the model is about to do better.
    """
    try:
        arguments = orjson.loads(written or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"malformed": written}


def _declaration(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    # `parameters` would be Google's older dialect of schemas, which knows less.
    return {"name": tool.name, **described, "parametersJsonSchema": tool.parameters}


def _tool_config(choice: str | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    named = {} if choice in MODES else {"allowedFunctionNames": [choice]}
    return {"functionCallingConfig": {"mode": MODES.get(choice, "ANY"), **named}}


def _generation_config(request: ModelRequest) -> dict[str, Any]:
    names = NAMES | dict(request.renamed)
    sampling: dict[str, Any] = {
        names["temperature"]: request.temperature,
        names["top_p"]: request.top_p,
        names["max_tokens"]: request.max_tokens,
        names["stop"]: list(request.stop) or None,
        names["seed"]: request.seed,
    }
    if request.schema is not None:
        sampling |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
    return _without_nulls(sampling)


def _thinking(reasoning: Reasoning | None) -> dict[str, Any]:
    """What goes before the catalog's `extra` of the same name. Gemini 2.5 knows budgets, and from 3 on levels."""
    if reasoning is None:
        return {}
    if reasoning.is_off:
        told: dict[str, Any] = {"thinkingBudget": 0}
    else:
        told = {
            "includeThoughts": reasoning.is_shown,
            "thinkingBudget": reasoning.budget_tokens,
            "thinkingLevel": reasoning.effort,
        }
    return {"generationConfig": {"thinkingConfig": _without_nulls(told)}}


def _merged(ours: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for name, value in extra.items():
        mine = merged.get(name)
        if isinstance(value, dict):
            merged[name] = _merged(mine if isinstance(mine, dict) else {}, value)
        elif isinstance(value, list) and isinstance(mine, list):
            merged[name] = [*mine, *value]
        else:
            merged[name] = value
    return _without_nulls(merged)


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
