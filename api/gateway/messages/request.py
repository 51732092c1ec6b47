"""A request of `POST /v1/messages` as one of `/v1/chat/completions`.

Source: Anthropic's API reference, "Create a Message". What has no counterpart is refused by name rather than forgotten,
save for thoughts that led to no tool call, which no other server takes, and hints that change no answer.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from api.gateway.asked import THINKING
from api.gateway.fields import Json, a_list, an_object
from api.gateway.messages.opaque import THOUGHTS, opaque_of
from api.gateway.rendering import OPAQUE
from common.contracts.reasoning import effort_of
from common.errors import InvalidInput

# What goes by the same name on both sides, or is the upstream's to judge.
SAME = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream")
ROLES = ("user", "assistant", "system")
# These run on Anthropic's own servers, or lie there.
ELSEWHERE = ("mcp_servers", "container")


def chat_request(asked: Json) -> Json:
    """The chat completion that says the same.

    Raises:
        InvalidInput: names the field, for what is malformed and for what no chat completion can say.
    """
    for name in ELSEWHERE:
        if asked.get(name):
            raise InvalidInput("what Anthropic's own servers run or keep cannot be used here", field=name)
    most = asked.get("max_tokens")
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise InvalidInput("must be a whole number of at least 1", field="max_tokens")
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInput("must be a list of at least one message", field="messages")
    chat: Json = {name: asked[name] for name in SAME if asked.get(name) is not None}
    chat["messages"] = [*_system(asked.get("system")), *_turns(messages)]
    if stops := asked.get("stop_sequences"):
        chat["stop"] = stops
    if tools := a_list(asked.get("tools") or [], "tools"):
        chat["tools"] = [_tool(tool, f"tools.{number}") for number, tool in enumerate(tools)]
    chat |= _tool_choice(asked.get("tool_choice"))
    chat |= _thinking(asked)
    chat |= _output(asked)
    if user := an_object(asked.get("metadata") or {}, "metadata").get("user_id"):
        chat["user"] = user
    return chat


def _system(system: Any) -> list[Json]:
    if not system:
        return []
    text = system if isinstance(system, str) else "\n\n".join(_texts(system, "system"))
    return [{"role": "system", "content": text}]


def _texts(blocks: Any, field: str) -> Iterator[str]:
    for number, block in enumerate(a_list(blocks, field)):
        if an_object(block, f"{field}.{number}").get("type") != "text":
            raise InvalidInput("only text blocks stand here", field=f"{field}.{number}.type")
        yield str(block.get("text", ""))


def _turns(messages: list[Any]) -> Iterator[Json]:
    for number, message in enumerate(messages):
        field = f"messages.{number}"
        role, content = an_object(message, field).get("role"), message.get("content")
        if role not in ROLES:
            raise InvalidInput("must be user or assistant", field=f"{field}.role")
        if isinstance(content, str):
            yield {"role": role, "content": content}
            continue
        blocks = [an_object(block, f"{field}.content") for block in a_list(content, f"{field}.content")]
        yield from _assistant(blocks, field) if role == "assistant" else _user(blocks, role, field)


def _assistant(blocks: list[Json], field: str) -> Iterator[Json]:
    text: list[str] = []
    calls: list[Json] = []
    thoughts: list[Json] = []
    for number, block in enumerate(blocks):
        match block.get("type"):
            case "text":
                text.append(str(block.get("text", "")))
            case "tool_use":
                arguments = orjson.dumps(block.get("input") or {}).decode()
                function = {"name": block.get("name"), "arguments": arguments}
                call = {"id": block.get("id"), "type": "function", "function": function}
                opaque, thoughts = opaque_of(thoughts), []
                calls.append(call if opaque is None else call | {OPAQUE: opaque})
            case kind if kind in THOUGHTS:
                thoughts.append(block)
            case kind:
                raise InvalidInput(
                    f"an assistant's {kind!r} block cannot be passed on", field=f"{field}.content.{number}"
                )
    if text or calls:
        yield {"role": "assistant", "content": "".join(text) or None, **({"tool_calls": calls} if calls else {})}


def _user(blocks: list[Json], role: str, field: str) -> Iterator[Json]:
    """The results of tools, each a message of its own, and then what the user says."""
    parts: list[Json] = []
    for number, block in enumerate(blocks):
        if block.get("type") == "tool_result":
            yield _tool_result(block, f"{field}.content.{number}")
        else:
            parts.append(_part(block, f"{field}.content.{number}"))
    if parts:
        is_text = all(part["type"] == "text" for part in parts)
        yield {"role": role, "content": "\n\n".join(part["text"] for part in parts) if is_text else parts}


def _tool_result(block: Json, field: str) -> Json:
    content = block.get("content") or ""
    text = content if isinstance(content, str) else "\n".join(_texts(content, f"{field}.content"))
    if block.get("is_error"):
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text}


def _part(block: Json, field: str) -> Json:
    if block.get("type") == "text":
        return {"type": "text", "text": str(block.get("text", ""))}
    if block.get("type") != "image":
        raise InvalidInput(f"{block.get('type')!r} blocks cannot be passed on: text and image can", field=field)
    source = an_object(block.get("source"), f"{field}.source")
    match source.get("type"):
        case "base64":
            url = f"data:{source.get('media_type')};base64,{source.get('data')}"
        case "url":
            url = str(source.get("url"))
        case _:
            raise InvalidInput("must be base64 or url", field=f"{field}.source.type")
    return {"type": "image_url", "image_url": {"url": url}}


def _tool(tool: Any, field: str) -> Json:
    given = an_object(tool, field)
    if given.get("type") not in (None, "custom"):
        raise InvalidInput("tools that Anthropic's own servers run cannot be used here", field=f"{field}.type")
    function = {"name": given.get("name"), "parameters": given.get("input_schema") or {"type": "object"}}
    if given.get("description"):
        function["description"] = given["description"]
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Json:
    if choice is None:
        return {}
    given = an_object(choice, "tool_choice")
    said: Any
    match given.get("type"):
        case "auto" | "none" as said:
            pass
        case "any":
            said = "required"
        case "tool":
            said = {"type": "function", "function": {"name": given.get("name")}}
        case _:
            raise InvalidInput("must be auto, any, tool or none", field="tool_choice.type")
    return {"tool_choice": said, **({"parallel_tool_calls": False} if given.get("disable_parallel_tool_use") else {})}


def _thinking(asked: Json) -> Json:
    """A budget as the effort that it comes to, and beside it all that was said, for models that know more than efforts.

    To think as it sees fit, or not at all, is no wish that a model could fail: only those that can are told of it.
    """
    if asked.get("thinking") is None:
        return {}
    thinking = an_object(asked["thinking"], "thinking")
    said = {THINKING: {**thinking, "effort": _output_config(asked).get("effort")}}
    if thinking.get("type") != "enabled":
        return said
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
        raise InvalidInput("must be a whole number of at least 1", field="thinking.budget_tokens")
    return {"reasoning_effort": effort_of(budget), **said}


def _output_config(asked: Json) -> Json:
    return an_object(asked.get("output_config") or {}, "output_config")


def _output(asked: Json) -> Json:
    output = _output_config(asked).get("format") or asked.get("output_format")
    if output is None:
        return {}
    if an_object(output, "output_config.format").get("type") != "json_schema":
        raise InvalidInput("must be json_schema", field="output_config.format.type")
    schema = {"name": "answer", "schema": output.get("schema"), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
