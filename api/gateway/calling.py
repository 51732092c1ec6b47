"""OpenAI's request as a call of ours, for models whose servers speak otherwise.

What changes the answer and has no place in a call is refused by name, rather than left out in silence; what only
concerns OpenAI's own bookkeeping is left out.
"""

from collections.abc import Container, Mapping
from typing import Any

from pydantic import ValidationError

from api.gateway.asked import Asked
from api.gateway.faults import Fault
from api.gateway.fields import a_list
from api.gateway.rendering import OPAQUE
from api.gateway.thinking import reasoning_of
from common.contracts.calls import Call, Parameters
from common.contracts.messages import ImagePart, Message, Part, TextPart, Tool, ToolCall
from common.errors import InvalidInput, Unsupported

Json = Mapping[str, Any]

UNDERSTOOD = frozenset(
    {
        *("model", "messages", "prompt", "stream", "stream_options"),
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("tools", "tool_choice", "response_format", "reasoning_effort", "thinking"),
    }
)
# For OpenAI's accounts, caches and abuse detection.
BOOKKEEPING = frozenset(
    {
        *("user", "metadata", "store", "safety_identifier", "service_tier"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    }
)
# Said by clients that spell out what is the case anyway.
AS_USUAL: Json = {
    "n": 1,
    "best_of": 1,
    "echo": False,
    "frequency_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "suffix": "",
    "top_logprobs": 0,
    "verbosity": "medium",
}
# Parts that are words.
WORDS = ("text", "refusal")
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def call_of(asked: Asked, model_id: str) -> Call:
    """The request as a call to this model.

    Raises:
        InvalidInput: a parameter is wrong; names it.
        Fault: Unsupported; names the parameter that has no place in a call.
    """
    body = asked.body
    refuse_unknown(body, UNDERSTOOD)
    if asked.kind.name == "completion":
        messages: tuple[Message, ...] = (Message(role="user", content=_prompt(body["prompt"])),)
    else:
        messages = tuple(_message(message, f"messages[{place}]") for place, message in enumerate(body["messages"]))
    return Call(
        model=model_id,
        messages=messages,
        parameters=_parameters(body),
        schema=_schema(body.get("response_format")),
        tools=_tools(body.get("tools")),
        tool_choice=_tool_choice(body.get("tool_choice")),
        reasoning=reasoning_of(asked),
    )


def unsupported(parameter: str, what: str | None = None) -> Fault:
    """The fault of a parameter that this way has no room for."""
    error = Unsupported(f"This model does not support {what or f'`{parameter}`'}.")
    return Fault(error, param=parameter, code="unsupported_parameter")


def refuse_unknown(body: Json, understood: Container[str]) -> None:
    """Refuse what would be left out.

    Raises:
        Fault: Unsupported; names the first parameter that is neither understood, nor bookkeeping, nor as usual.
    """
    for name, value in body.items():
        if name in understood or name in BOOKKEEPING or value is None:
            continue
        if name not in AS_USUAL or value != AS_USUAL[name]:
            raise unsupported(name)


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise unsupported("prompt", "a `prompt` of several texts, or of tokens")
    return prompt


def _message(message: Json, place: str) -> Message:
    role = ROLES.get(message["role"])
    if role is None:
        raise unsupported(place, f"the role {message['role'][:40]!r}")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise InvalidInput("A tool's result names its call: `tool_call_id`.", field=f"{place}.tool_call_id")
    return Message(
        role=role,
        content=_content(message.get("content"), f"{place}.content"),
        tool_calls=tuple(
            _tool_call(call, f"{place}.tool_calls[{number}]")
            for number, call in enumerate(a_list(message.get("tool_calls") or [], f"{place}.tool_calls"))
        ),
        tool_call_id=message.get("tool_call_id") if role == "tool" else None,
    )


def _content(content: Any, place: str) -> str | tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise InvalidInput("`content` is a text, or a list of parts.", field=place)
    return tuple(_part(part, f"{place}[{number}]") for number, part in enumerate(content))


def _part(part: Any, place: str) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in WORDS and isinstance(text := part.get(kind), str):
        return TextPart(text=text)
    if kind == "image_url":
        image = part.get("image_url")
        try:
            return ImagePart(url=image.get("url") if isinstance(image, dict) else image)
        except ValidationError:
            raise InvalidInput("An image is an https URL, or a data URL in base64.", field=place) from None
    if kind in WORDS or not isinstance(kind, str):
        raise InvalidInput("A part is an object with a `type`, and what that type has.", field=place)
    raise unsupported(place, f"parts of the type {kind[:40]!r}")


def _tool_call(call: Any, place: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise unsupported(place, "calls of tools that are no functions")
    try:
        return ToolCall(
            id=call.get("id"),
            name=function.get("name"),
            arguments=function.get("arguments", ""),
            opaque=call.get(OPAQUE),
        )
    except ValidationError as error:
        raise _invalid(error, place) from None


def _parameters(body: Json) -> Parameters:
    most = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    stop = body.get("stop")
    given = {
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "max_tokens": body.get(most),
        "stop": () if stop is None else (stop,) if isinstance(stop, str) else stop,
        "seed": body.get("seed"),
    }
    try:
        return Parameters.model_validate(given)
    except ValidationError as error:
        fault = _invalid(error)
        raise InvalidInput(fault.message, field=most if fault.field == "max_tokens" else fault.field) from None


def _schema(wanted: Any) -> dict[str, Any] | None:
    if wanted is None or wanted == {"type": "text"}:
        return None
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if not isinstance(described, dict):
        raise unsupported("response_format", "this `response_format`: use `json_schema`")
    schema = described.get("schema")
    if not isinstance(schema, dict):
        raise InvalidInput("A `json_schema` has a `schema`, an object.", field="response_format.json_schema.schema")
    return schema


def _tools(given: Any) -> tuple[Tool, ...]:
    if given is None:
        return ()
    return tuple(_tool(tool, f"tools[{place}]") for place, tool in enumerate(a_list(given, "tools")))


def _tool(tool: Any, place: str) -> Tool:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise unsupported(place, "tools that are no functions")
    said = {name: function[name] for name in ("name", "description", "parameters") if function.get(name) is not None}
    try:
        return Tool.model_validate(said)
    except ValidationError as error:
        raise _invalid(error, f"{place}.function") from None


def _tool_choice(choice: Any) -> str | None:
    if choice is None or choice in ("auto", "none", "required"):
        return choice  # type: ignore[no-any-return]  # a string, or None
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise unsupported("tool_choice", "this `tool_choice`")
    return name


def _invalid(error: ValidationError, place: str = "") -> InvalidInput:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(filter(None, [place, str(fault["loc"][0]) if fault["loc"] else ""]))
    return InvalidInput(f"{field}: {fault['msg']}", field=field)
