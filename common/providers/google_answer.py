"""An answer of `streamGenerateContent`, event by event. Reads what it is given, and waits for nothing.

Source: the reference of GenerateContentResponse at ai.google.dev/api/generate-content.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContentRefused
from common.providers.foreign_errors import presentable
from common.providers.google_errors import Complaints, error_in
from common.providers.protocol import Delta, ToolCallDelta
from common.storable import StorableStream, storable

# MALFORMED_FUNCTION_CALL and the many others are no end of an answer, and neither is what we do not know.
FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}

REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_RECITATION",
        "IMAGE_PROHIBITED_CONTENT",
    }
)


class _Read(BaseModel):
    """Of the many fields there are, those that count. Their names are camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, read: Any) -> Any:
        """Google leaves out what it does not say; servers that only stand in for it say null."""
        return {name: value for name, value in read.items() if value is not None} if isinstance(read, dict) else read


class _FunctionCall(_Read):
    name: str
    id: str | None = None
    args: dict[str, Any] | None = None


class _Part(_Read):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _Content(_Read):
    parts: list[_Part] = []


class _Candidate(_Read):
    index: int = 0
    content: _Content = _Content()
    finish_reason: str | None = None
    finish_message: str | None = None


class _PromptFeedback(_Read):
    block_reason: str | None = None


class UsageMetadata(_Read):
    """Tokens as Google counts them: what was thought apart from what was said."""

    prompt_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    total_token_count: int = 0
    cached_content_token_count: int = 0

    def counted(self) -> Usage:
        prompt = self.prompt_token_count + self.tool_use_prompt_token_count
        completion = self.candidates_token_count + self.thoughts_token_count
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=self.total_token_count or prompt + completion,
            cached_prompt_tokens=self.cached_content_token_count,
        )


class _Event(_Read):
    candidates: list[_Candidate] = []
    prompt_feedback: _PromptFeedback = _PromptFeedback()
    usage_metadata: UsageMetadata | None = None


class Answer:
    """Thoughts are told apart from it, where they are shown.

    A tool call comes whole, and from older models without an id: then `call_N`.
    """

    def __init__(self, complaints: Complaints, *, shows_thoughts: bool = False) -> None:
        self._complaints = complaints
        self._server = complaints.server
        self._shows_thoughts = shows_thoughts
        self._text = StorableStream()
        self._thinking = StorableStream()
        self._tool_calls = 0
        self._is_begun = False
        self._last: _Candidate | None = None
        self._usage: UsageMetadata | None = None

    def read(self, data: bytes) -> Delta | None:
        """What an event adds, or None.

        Raises:
            BadUpstream: it is no event of an answer.
            ContentRefused: the prompt was blocked.
            ProviderError: it is an error.
        """
        event = self._parsed(data)
        self._usage = event.usage_metadata or self._usage  # each event counts all tokens so far
        if reason := event.prompt_feedback.block_reason:
            raise ContentRefused(f"{self._server} blocked the prompt: {presentable(reason, self._complaints.secret)}.")
        candidate = next((each for each in event.candidates if each.index == 0), None)
        if candidate is None:
            return None
        if candidate.finish_reason:  # models of 2024 say STOP in every event, so more may follow
            self._last = candidate
        parts = candidate.content.parts
        text = self._text.feed("".join(part.text or "" for part in parts if not part.thought))
        shown = [part.text or "" for part in parts if part.thought and self._shows_thoughts]
        thoughts = self._thinking.feed("".join(shown))
        tool_calls = tuple(
            self._tool_call(part.function_call, part.thought_signature) for part in parts if part.function_call
        )
        if not text and not tool_calls:
            return Delta(thoughts=thoughts) if thoughts else None
        self._is_begun = True
        return Delta(text, tool_calls=tool_calls, thoughts=thoughts)

    def end(self) -> Delta:
        """The last piece, with the reason and the usage.

        What a filter cut off in the middle has been heard, and ends as such. Where it left nothing, another
        model may do better.

        Raises:
            BadUpstream: there was no reason, or not that of an answer.
            ContentRefused: a filter left nothing of the answer.
        """
        if self._last is None:
            raise BadUpstream(f"{self._server} broke off in the middle of its answer.")
        said, why = self._last.finish_reason or "", self._last.finish_message
        shown = presentable(f"{said}: {why}" if why else said, self._complaints.secret)
        if said in REFUSALS and not self._is_begun:
            raise ContentRefused(f"{self._server} withheld the answer: {shown}")
        if said not in REFUSALS and said not in FINISH_REASONS:
            raise BadUpstream(f"{self._server} ended its answer with {shown}")
        reason = FINISH_REASONS.get(said, "content_filter")
        if reason == "stop" and self._tool_calls:
            reason = "tool_calls"
        return Delta(self._text.end(), reason, self._usage.counted() if self._usage else None)

    def _parsed(self, data: bytes) -> _Event:
        try:
            document = json.loads(data)  # not orjson, which refuses half a pair of surrogates
            if error := error_in(document):
                raise self._complaints.broke_off(error)
            return _Event.model_validate(document)
        except (ValueError, RecursionError) as error:  # broken JSON or UTF-8, fields of other types, a deep nest
            raise BadUpstream(f"{self._server} sent something that is no piece of an answer.") from error

    def _tool_call(self, call: _FunctionCall, signature: str | None) -> ToolCallDelta:
        index = self._tool_calls
        self._tool_calls += 1
        return ToolCallDelta(
            index=index,
            id=storable(call.id or f"call_{index}"),
            name=storable(call.name),
            arguments=storable(json.dumps(call.args or {}, ensure_ascii=False)),
            opaque={"google": {"thought_signature": storable(signature)}} if signature else None,
        )
