"""A request of `POST /v1/responses` as one of `/v1/chat/completions`.

Source: OpenAI's API reference, "Create a model response", and the Open Responses specification. What needs a memory
between requests, or tools that OpenAI's own servers run, is refused by name.
"""

from collections.abc import Iterator
from typing import Any

from api.gateway.fields import Json, a_list, an_object
from common.errors import InvalidInput

# Ours by the same name, or the upstream's to judge.
SAME = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "presence_penalty", "frequency_penalty")
# These need what we do not keep.
REMEMBERING = ("previous_response_id", "conversation", "prompt")
ROLES = ("assistant", "developer", "system", "user")


def chat_request(asked: Json) -> Json:
    """The chat completion that says the same.

    Raises:
        InvalidInput: names the field, for what is malformed and for what no chat completion can say.
    """
    for name in REMEMBERING:
        if asked.get(name) is not None:
            raise InvalidInput("nothing is kept between requests: send the whole conversation as `input`", field=name)
    if asked.get("background"):
        raise InvalidInput("a response in the background is a job: POST /api/analyze", field="background")
    chat: Json = {name: asked[name] for name in SAME if asked.get(name) is not None}
    chat["messages"] = [*_instructions(asked.get("instructions")), *_merged(_items(asked.get("input")))]
    if asked.get("max_output_tokens") is not None:
        chat["max_tokens"] = asked["max_output_tokens"]
    if asked.get("top_logprobs"):
        chat |= {"logprobs": True, "top_logprobs": asked["top_logprobs"]}
    if tools := a_list(asked.get("tools") or [], "tools"):
        chat["tools"] = [_tool(tool, f"tools.{number}") for number, tool in enumerate(tools)]
    if (choice := asked.get("tool_choice")) is not None:
        chat["tool_choice"] = _tool_choice(choice)
    if effort := an_object(asked.get("reasoning") or {}, "reasoning").get("effort"):
        chat["reasoning_effort"] = effort
    if user := asked.get("safety_identifier") or asked.get("user"):
        chat["user"] = user
    return chat | _text(asked.get("text"))


def _instructions(text: Any) -> list[Json]:
    return [{"role": "system", "content": text}] if text else []


def _items(given: Any) -> Iterator[Json]:
    """The input, each item a message."""
    if isinstance(given, str):
        yield {"role": "user", "content": given}
        return
    items = a_list(given, "input")
    if not items:
        raise InvalidInput("must hold at least one item", field="input")
    for number, item in enumerate(items):
        field = f"input.{number}"
        match an_object(item, field).get("type", "message"):
            case "message":
                yield _message(item, field)
            case "function_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
                call = {"id": item.get("call_id"), "type": "function", "function": function}
                yield {"role": "assistant", "content": None, "tool_calls": [call]}
            case "function_call_output":
                output = item.get("output")
                text = output if isinstance(output, str) else _words(a_list(output, f"{field}.output"))
                yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": text}
            case "reasoning":
                continue  # a model's own thoughts, which no other server takes
            case kind:
                raise InvalidInput(f"items of type {kind!r} cannot be passed on", field=f"{field}.type")


def _merged(messages: Iterator[Json]) -> list[Json]:
    """What an assistant said and the calls it made at once are items here, and one message there."""
    merged: list[Json] = []
    for message in messages:
        before = merged[-1] if merged else {}
        if message.get("tool_calls") and before.get("role") == "assistant":
            before["tool_calls"] = [*before.get("tool_calls", ()), *message["tool_calls"]]
        else:
            merged.append(message)
    return merged


def _message(item: Json, field: str) -> Json:
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise InvalidInput(f"must be one of {', '.join(ROLES)}", field=f"{field}.role")
    role = "system" if role == "developer" else role
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = [
        _part(part, f"{field}.content.{number}") for number, part in enumerate(a_list(content, f"{field}.content"))
    ]
    is_text = all(part["type"] == "text" for part in parts)
    return {"role": role, "content": _words(parts) if is_text else parts}


def _part(part: Any, field: str) -> Json:
    match an_object(part, field).get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": str(part.get("text", ""))}
        case "refusal":
            return {"type": "text", "text": str(part.get("refusal", ""))}
        case "input_image" if part.get("image_url"):
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
        case kind:
            raise InvalidInput(f"{kind!r} parts cannot be passed on: text and images by URL can", field=field)


def _words(parts: list[Any]) -> str:
    return "\n\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _tool(tool: Any, field: str) -> Json:
    given = an_object(tool, field)
    if given.get("type") != "function":
        raise InvalidInput(
            "only functions: tools that OpenAI's own servers run cannot be used here", field=f"{field}.type"
        )
    function = {"name": given.get("name"), "parameters": given.get("parameters") or {"type": "object"}}
    function |= {name: given[name] for name in ("description", "strict") if given.get(name) is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    if an_object(choice, "tool_choice").get("type") != "function":
        raise InvalidInput("must be auto, none, required or a function", field="tool_choice.type")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _text(text: Any) -> Json:
    given = an_object(text or {}, "text")
    length = {"verbosity": given["verbosity"]} if given.get("verbosity") else {}
    shape = an_object(given.get("format") or {"type": "text"}, "text.format")
    match shape.get("type"):
        case "text":
            return length
        case "json_object":
            return {**length, "response_format": {"type": "json_object"}}
        case "json_schema":
            schema = {name: shape[name] for name in ("name", "schema", "strict", "description") if name in shape}
            return {**length, "response_format": {"type": "json_schema", "json_schema": schema}}
        case _:
            raise InvalidInput("must be text, json_object or json_schema", field="text.format.type")
