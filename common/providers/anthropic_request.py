"""A request in Anthropic's words: the JSON of `POST /v1/messages`. Pure.

Where its grammar differs from ours: the system prompt stands apart from the turns; a turn is a list of
blocks; users and assistants take turns, so neighbours of one role become one turn; a tool's result is a
block of the user's turn, and comes first in it.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Any

import anthropic
import orjson

from common.contracts.messages import ImagePart, Message, Part, TextPart, Tool, ToolCall
from common.providers.protocol import ModelRequest
from common.storable import storable

# Anthropic demands a limit. The oldest models it serves write no more than this, so it suits them all, and
# it is some 3,000 words; an entry or a call that wants more says so.
DEFAULT_MAX_TOKENS = 4096

# Sampling parameters by their names here; a catalog entry may rename them once more.
NAMES = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens", "stop": "stop_sequences"}

# Counting takes no limit, and nothing of sampling.
COUNTED = frozenset({"model", "system", "messages", "tools", "tool_choice", "thinking", "output_config"})

Block = dict[str, Any]


def body(request: ModelRequest) -> dict[str, Any]:
    """The request's JSON. What the catalog's `extra` sets to null is left out.

    A temperature above 1 is sent as it was asked, and refused: nothing here is hotter than 1, and an
    answer sampled at another temperature than the one that was asked for would be compared as if it were.
    """
    names = NAMES | dict(request.renamed)
    sampling = {
        names["max_tokens"]: request.max_tokens or DEFAULT_MAX_TOKENS + _budget(request),
        names["temperature"]: request.temperature,
        names["top_p"]: request.top_p,
        names["stop"]: list(request.stop) or None,
    }
    asked = {
        "model": request.model,
        "system": _system(request.messages),
        "messages": _turns(request.messages),
        **sampling,
        **_tools(request),
        **request.extra,
        **_output_config(request),
        **_thinking(request),
        "stream": True,
    }
    return {key: value for key, value in asked.items() if value is not None}


def count_body(request: ModelRequest) -> dict[str, Any]:
    """The JSON of `POST /v1/messages/count_tokens`: of the same request all that its count goes by."""
    return {name: value for name, value in body(request).items() if name in COUNTED}


def _system(messages: Iterable[Message]) -> str | None:
    """Every system prompt, in one."""
    prompts = [storable(message.text) for message in messages if message.role == "system"]
    return "\n\n".join(prompt for prompt in prompts if prompt.strip()) or None


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    said = [(_role(message), blocks) for message in messages if (blocks := _blocks(message))]
    return [
        {"role": role, "content": _results_first(block for _, blocks in turn for block in blocks)}
        for role, turn in itertools.groupby(said, key=lambda pair: pair[0])
    ]


def _role(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _results_first(blocks: Iterable[Block]) -> list[Block]:
    """Sorted for the rule that the results of tools come before the user's words."""
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _blocks(message: Message) -> list[Block]:
    """A message's blocks; none for a system prompt, and none for silence."""
    match message.role:
        case "system":
            return []
        case "tool":
            return [_tool_result(message)]
        case _:
            content = _content(message.content)
            for place, call in enumerate(message.tool_calls):
                # a turn that has thoughts must begin with them
                content = [*_thoughts(call), *content] if place == 0 else [*content, *_thoughts(call)]
                content.append(_tool_use(call))
            return content


def _content(content: str | tuple[Part, ...]) -> list[Block]:
    """Text and images in their order. Text without a word is left out: the API refuses it."""
    parts = (TextPart(text=content),) if isinstance(content, str) else content
    return [
        _image(part) if isinstance(part, ImagePart) else {"type": "text", "text": storable(part.text)}
        for part in parts
        if isinstance(part, ImagePart) or part.text.strip()
    ]


def _image(image: ImagePart) -> Block:
    if not image.url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    kind, _, data = image.url.removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _thoughts(call: ToolCall) -> list[Block]:
    """What the model thought before this call, as it signed it; nothing of another provider's model."""
    ours = (call.opaque or {}).get("anthropic")
    blocks = ours.get("thinking_blocks") if isinstance(ours, dict) else None
    return [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []


def _tool_use(call: ToolCall) -> Block:
    return {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": _input(call.arguments)}


def _tool_result(message: Message) -> Block:
    result = {"type": "tool_result", "tool_use_id": _tool_id(message.tool_call_id or "")}
    content = _content(message.content)
    return result | {"content": content} if content else result


def _tool_id(given: str) -> str:
    """An id of the alphabet that Anthropic knows: another model, which began this conversation, may use more."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", given)


def _input(arguments: str) -> dict[str, Any]:
    """The arguments as the object that the API wants. What is none is shown to the model as it wrote it."""
    if not arguments.strip():
        return {}
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": storable(arguments)}


def _tools(request: ModelRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    return {"tools": [_tool(tool) for tool in request.tools], "tool_choice": _tool_choice(request.tool_choice)}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": storable(tool.description)} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": tool.parameters}


def _tool_choice(choice: str | None) -> dict[str, str] | None:
    match choice:
        case None:
            return None
        case "auto" | "none":
            return {"type": choice}
        case "required":
            return {"type": "any"}
        case name:
            return {"type": "tool", "name": name}


def _output_config(request: ModelRequest) -> dict[str, Any]:
    """The schema and the effort beside what the catalog's `extra` says of the output."""
    output: dict[str, Any] = {}
    if request.schema is not None:
        output["format"] = {"type": "json_schema", "schema": _held(request.schema)}
    if request.reasoning is not None and request.reasoning.effort and not request.reasoning.is_off:
        output["effort"] = request.reasoning.effort
    return {"output_config": (request.extra.get("output_config") or {}) | output} if output else {}


def _thinking(request: ModelRequest) -> dict[str, Any]:
    """Thinking within a budget, which Claude up to 4.6 knows, or as the model sees fit, which it knows from 4.6 on."""
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    if reasoning.is_off:
        return {"thinking": {"type": "disabled"}}
    if reasoning.budget_tokens is None:
        # left to themselves, the newest models leave the words of their thoughts out
        return {"thinking": {"type": "adaptive", "display": "summarized" if reasoning.is_shown else "omitted"}}
    if _thoughts_are_lost(request.messages):
        return {"thinking": None}
    return {"thinking": {"type": "enabled", "budget_tokens": reasoning.budget_tokens}}


def _budget(request: ModelRequest) -> int:
    return (request.reasoning and request.reasoning.budget_tokens) or 0


def _thoughts_are_lost(messages: tuple[Message, ...]) -> bool:
    """Whether the model is in the middle of calling tools, and its client did not send back what it thought before.

    A model that has a budget must then see its thoughts again, or go on without any: all else is refused.
    """
    before = list(itertools.dropwhile(lambda message: message.role == "user", reversed(messages)))
    if not before or before[0].role != "tool":
        return False
    turn = itertools.takewhile(lambda message: message.role != "user", before)
    *_, first = [None, *(message.tool_calls[0] for message in turn if message.tool_calls)]
    return first is None or not _thoughts(first)


def _held(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in the part of JSON Schema that Anthropic can hold a model to.

    Bounds that it cannot are told to the model in descriptions, by the SDK's own reading of the rules. A
    schema beyond that reading goes as it is: the server says best what is wrong with it.
    """
    try:
        return anthropic.transform_schema(schema)
    except (ValueError, TypeError, AttributeError, AssertionError):
        return schema
