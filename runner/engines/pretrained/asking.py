"""What this engine makes of a request."""

from typing import Any

from runner.contracts import Chat
from runner.engines.pretrained.row import Choosing
from runner.faults import Unsupported

# What asks for nothing, or tells us only who asks.
HARMLESS = {
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "parallel_tool_calls",
    "tool_choice",
}


def refuse_unsupported(chat: Chat) -> None:
    """Say what would otherwise be ignored.

    Raises:
        Unsupported: the request asks for something that this engine cannot give; it names the parameter.
    """
    for name, value in (chat.model_extra or {}).items():
        is_plain = name == "response_format" and value == {"type": "text"}
        if value and name not in HARMLESS and not is_plain:
            raise Unsupported(f"The transformers engine does not know {name!r}: leave it out.", parameter=name)


def turns(chat: Chat) -> list[dict[str, str]]:
    """The conversation as chat templates take it.

    Raises:
        Unsupported: a turn holds something other than text.
    """
    return [{"role": message.role, "content": _text(message.content)} for message in chat.messages]


def choosing(chat: Chat, of_model: Choosing) -> Choosing:
    """How the caller wants tokens chosen; what is left out is as the model's authors wish."""
    return Choosing(
        temperature=of_model.temperature if chat.temperature is None else chat.temperature,
        top_p=of_model.top_p if chat.top_p is None else chat.top_p,
        top_k=of_model.top_k,
        seed=chat.seed,
    )


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if all(part.get("type") == "text" and isinstance(part.get("text"), str) for part in content):
        return "".join(part["text"] for part in content)
    raise Unsupported("This model reads text only.", parameter="messages")
