"""What the cache keeps, when two requests are equal, and which answers are worth keeping."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict

from common.contracts.calls import Usage
from common.contracts.messages import ToolCall
from common.providers.protocol import ModelRequest

# Part of every key: raise it when equal keys come to mean something else.
FORMAT = 1
# A deadline changes how long one waits for an answer, not the answer.
NOT_ASKED = frozenset({"timeout_seconds"})
# An answer that ran into its limit or its server's filter is none that others should get.
WHOLE = frozenset({"stop", "tool_calls"})
# Answers are kilobytes. One like this says that a model ran wild, and would push a thousand others out.
MAX_BYTES = 1_000_000


class CachedAnswer(BaseModel):
    """What a model said, and what it took to say it; who served it is the caller's to know."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()


def key_of(provider: str, request: ModelRequest) -> str:
    """A digest of all that may change the answer; equal on every machine.

    A field that `ModelRequest` gets later is part of it from that day on. The order inside a schema or
    `extra` counts: a server that constrains its output writes the properties in the schema's order.
    """
    asked = {field.name: getattr(request, field.name) for field in fields(request) if field.name not in NOT_ASKED}
    # ASCII, so that a lone surrogate in a prompt is a character like any other
    said = json.dumps([FORMAT, provider, asked], default=_as_json, separators=(",", ":"))
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def encoded(answer: CachedAnswer) -> bytes | None:
    """The answer as it is stored; None if it is not whole, empty, or over 1 MB."""
    is_said = bool(answer.text.strip() or answer.tool_calls)
    if answer.finish_reason not in WHOLE or not is_said:
        return None
    try:
        value = answer.model_dump_json(exclude_defaults=True).encode()
    except ValueError:  # a lone surrogate, which UTF-8 cannot carry
        return None
    return value if len(value) <= MAX_BYTES else None


def decoded(value: bytes) -> CachedAnswer | None:
    """The stored answer; None if this is none that we would store."""
    try:
        answer = CachedAnswer.model_validate_json(value)
    except ValueError:
        return None
    return answer if encoded(answer) is not None else None


def _as_json(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"A request holds a {type(value).__name__}, which no server could be sent.")
