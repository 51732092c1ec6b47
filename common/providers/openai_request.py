"""What OpenAI-compatible servers are sent."""

from typing import Any

from common.contracts.messages import ImagePart, Message, Part, Tool
from common.contracts.reasoning import Reasoning, effort_of
from common.providers.protocol import EmbeddingRequest, ModelRequest
from common.storable import storable

CHOICES = frozenset({"auto", "none", "required"})


def chat_body(request: ModelRequest) -> dict[str, Any]:
    """The body of `/chat/completions`, for a stream.

    `renamed` parameters go by the model's name for them. `extra` comes last and as it is; what it sets to
    null is left out, `stream_options` for one.
    """
    ours = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "seed": request.seed,
        "tools": [_tool(tool) for tool in request.tools] or None,
        # OpenAI refuses a choice among no tools.
        "tool_choice": _tool_choice(request.tool_choice) if request.tools else None,
        "response_format": _response_format(request.schema),
        "reasoning_effort": _effort(request.reasoning),
    }
    named = {request.renamed.get(name, name): value for name, value in ours.items()}
    return _sendable(named | request.extra)


def embedding_body(request: EmbeddingRequest) -> dict[str, Any]:
    """The body of `/embeddings`."""
    return _sendable({"model": request.model, "input": list(request.texts), "dimensions": request.dimensions})


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    said: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        said["content"] = said["content"] or None  # as OpenAI itself writes such a turn
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return said


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Plain text where there is nothing but text: many servers take no parts."""
    if isinstance(message.content, str) or not message.images:
        return message.text
    return [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": part.url}}
    return {"type": "text", "text": part.text}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _tool_choice(choice: str | None) -> str | dict[str, Any] | None:
    if choice is None or choice in CHOICES:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _response_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _effort(reasoning: Reasoning | None) -> str | None:
    if reasoning is None:
        return None
    return effort_of(reasoning.budget_tokens) if reasoning.budget_tokens else reasoning.effort


def _sendable(body: dict[str, Any]) -> dict[str, Any]:
    """Without what is null at the top, and without what UTF-8 cannot carry: a lone surrogate has no bytes."""
    return {name: _clean(value) for name, value in body.items() if value is not None}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return value
