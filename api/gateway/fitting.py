"""A client's body as one model takes it: the catalog's name, defaults and quirks put in, all else as it came."""

from typing import Any

from api.gateway.asked import Asked
from api.gateway.kinds import EMBEDDING
from api.gateway.rendering import OPAQUE
from common.catalog.entry import EntryParameters, ModelEntry
from common.catalog.local import LocalModel
from common.fleet.engines import name_in_container

Body = dict[str, Any]
Messages = list[dict[str, Any]]

LIMITS = ("max_tokens", "max_completion_tokens")


def fitted(asked: Asked, entry: ModelEntry) -> Body:
    """The body for this model's server. What the client says counts before what the catalog says.

    A stream's usage is asked for always: we need it, whether or not the client does.
    """
    body = {**asked.body, "model": name_in_container(entry) if isinstance(entry, LocalModel) else entry.name}
    if asked.is_streamed:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    if asked.kind is EMBEDDING:
        return body
    _fill_in(body, entry.parameters)
    _heed(body, entry)
    for name, value in entry.parameters.extra.items():
        if value is None:
            body.pop(name, None)
        else:
            body.setdefault(name, value)
    return body


def _fill_in(body: Body, preset: EntryParameters) -> None:
    if preset.temperature is not None and body.get("temperature") is None:
        body["temperature"] = preset.temperature
    if preset.max_tokens is not None and all(body.get(name) is None for name in LIMITS):
        body["max_tokens"] = preset.max_tokens


def _heed(body: Body, entry: ModelEntry) -> None:
    """The entry's quirks, and its system prompt."""
    quirks = entry.quirks
    if quirks.thinking_tokens and isinstance(most := body.get("max_tokens"), int):
        body["max_tokens"] = most + quirks.thinking_tokens
    if "messages" in body:
        if entry.provider == "openai":
            body["messages"] = [_without_opaque(message) for message in body["messages"]]
        if entry.system is not None:
            body["messages"] = with_system(entry.system, body["messages"])
        if quirks.system == "first_user":
            body["messages"] = without_system_role(body["messages"])
    for dropped in quirks.drop:
        body.pop(dropped, None)
    for name, other in quirks.rename.items():
        if name in body:
            body.setdefault(other, body.pop(name))


def _without_opaque(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's own servers know nothing of what others want back with a tool call; those others stand in for them."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not any(isinstance(call, dict) and OPAQUE in call for call in calls):
        return message
    kept = [{key: said for key, said in call.items() if key != OPAQUE} for call in calls if isinstance(call, dict)]
    return {**message, "tool_calls": kept}


def with_system(system: str, messages: Messages) -> Messages:
    """The entry's system prompt first; in one message with the client's own, as templates take only one."""
    first, *others = messages
    if first["role"] in {"system", "developer"} and isinstance(first.get("content"), str):
        return [{**first, "content": f"{system}\n\n{first['content']}"}, *others]
    return [{"role": "system", "content": system}, *messages]


def without_system_role(messages: Messages) -> Messages:
    """Every system prompt before the words of the first user message."""
    said = [_words(message) for message in messages if message["role"] in {"system", "developer"}]
    others = [message for message in messages if message["role"] not in {"system", "developer"}]
    system = "\n\n".join(filter(None, said))
    if not system:
        return others or messages
    for place, message in enumerate(others):
        if message["role"] == "user":
            others[place] = {**message, "content": _prefixed(system, message.get("content"))}
            return others
    return [{"role": "user", "content": system}, *others]


def _words(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _prefixed(system: str, content: Any) -> Any:
    if isinstance(content, list):
        return [{"type": "text", "text": system}, *content]
    return f"{system}\n\n{content or ''}"
