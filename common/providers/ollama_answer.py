"""An answer of `/api/chat`, line by line. Reads what it is given, and waits for nothing."""

import json
from typing import Any

from pydantic import BaseModel

from common.contracts.calls import Usage
from common.errors import BadUpstream
from common.providers.ollama_errors import Complaints
from common.providers.protocol import Delta, ToolCallDelta
from common.storable import StorableStream, storable

# `load` and `unload` are the other two: the server says them of a model that was told to say nothing.
FINISH_REASONS = {"stop": "stop", "length": "length"}


class _Function(BaseModel):
    name: str
    arguments: dict[str, Any] | str = {}  # servers that only stand in for Ollama leave it JSON


class _ToolCall(BaseModel):
    id: str | None = None
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Line(BaseModel):
    done: bool
    message: _Message | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


class Answer:
    """`thinking` is told apart from it, where it is shown.

    A tool call comes whole, and mostly without an id: it is then `call_N`.
    """

    def __init__(self, complaints: Complaints, *, shows_thoughts: bool = False) -> None:
        self._complaints = complaints
        self._server = complaints.server
        self._shows_thoughts = shows_thoughts
        self._text = StorableStream()
        self._thinking = StorableStream()
        self._tool_calls = 0
        self._last: _Line | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the last line has been read."""
        return self._last is not None

    def read(self, raw: bytes) -> Delta | None:
        """What a line adds, or None.

        Raises:
            BadUpstream: it is no line of an answer.
            ProviderError: it is an error.
        """
        line = self._parsed(raw)
        if line.done:
            self._last = line
        if line.message is None:
            return None
        text = self._text.feed(line.message.content or "")
        tool_calls = tuple(self._tool_call(call) for call in line.message.tool_calls or ())
        thoughts = self._thinking.feed(line.message.thinking or "") if self._shows_thoughts else ""
        return Delta(text, tool_calls=tool_calls, thoughts=thoughts) if text or tool_calls or thoughts else None

    def end(self) -> Delta:
        """The last piece, with the reason and the usage.

        Raises:
            BadUpstream: there was no last line, or its reason is not that of an answer.
        """
        if self._last is None:
            raise BadUpstream(f"{self._server} broke off in the middle of its answer.")
        said = self._last.done_reason or "stop"  # it was left out before 0.1.45
        if said not in FINISH_REASONS:
            raise BadUpstream(f"{self._server} ended its answer with {storable(said)[:40]!r}.")
        reason = FINISH_REASONS[said]
        if reason == "stop" and self._tool_calls:
            reason = "tool_calls"
        return Delta(self._text.end(), reason, _usage(self._last))

    def _parsed(self, raw: bytes) -> _Line:
        try:
            line = json.loads(raw)  # not orjson, which refuses half a pair of surrogates
            if isinstance(line, dict) and line.get("error"):
                raise self._complaints.broke_off(line["error"])
            return _Line.model_validate(line)
        except (ValueError, RecursionError) as error:  # broken JSON or UTF-8, fields of other types, a deep nest
            raise BadUpstream(f"{self._server} sent something that is no line of an answer.") from error

    def _tool_call(self, call: _ToolCall) -> ToolCallDelta:
        index = self._tool_calls
        self._tool_calls += 1
        arguments = call.function.arguments
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return ToolCallDelta(
            index=index,
            id=storable(call.id or f"call_{index}"),
            name=storable(call.function.name),
            arguments=storable(written),
        )


def _usage(last: _Line) -> Usage | None:
    """The server's count. It leaves out a zero: that of a prompt that it had at hand, for one."""
    if last.prompt_eval_count is None and last.eval_count is None:
        return None
    prompt, completion = last.prompt_eval_count or 0, last.eval_count or 0
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
