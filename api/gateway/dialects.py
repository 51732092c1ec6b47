"""Other vendors' interfaces over chat completions: a client that speaks one, for code that speaks chat.

What serves chats writes chunks to its `Client` and knows of nothing else. A `SpeakingClient` reads a request in its
dialect, hands it on as a chat completion, and says what comes back in its own words, errors included.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.types import Receive, Scope, Send

from api.gateway.client import Client, Patience
from api.gateway.envelope import Header, Refusal
from api.gateway.fields import Json, json_object
from api.gateway.json_bytes import dumps, loads
from api.gateway.messages import answer as messages_answer
from api.gateway.messages.request import chat_request as chat_of_messages
from api.gateway.responses import answer as responses_answer
from api.gateway.responses.request import chat_request as chat_of_responses

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

OK = 200
# Anthropic's names for what OpenAI tells by the status.
ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
    504: "timeout_error",
}


class Rendering(Protocol):
    """One answer in a dialect's words."""

    def feed(self, chunk: Json) -> bytes:
        """The events that a chunk of chat comes to."""
        ...

    def end(self) -> bytes:
        """The end of a stream that is whole."""
        ...

    def fail(self, kind: str, text: str) -> bytes:
        """The end of one that broke off."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """A vendor's interface. `error_type` names a status, `error` is the envelope of an OpenAI error object.

    `names` are the parameters that a chat completion has by another name.
    """

    chat_request: Callable[[Json], Json]
    rendering: Callable[[Json, str], Rendering]
    whole: Callable[[Json, Json], Json]
    error_type: Callable[[int, Json], str]
    error: Callable[[str, Json], Json]
    names: Mapping[str, str]


def _anthropic_type(status: int, error: Json) -> str:  # noqa: ARG001  # the status says it
    return ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004


def _anthropic_error(kind: str, error: Json) -> Json:
    """Anthropic's own way to name the field: before what is wrong with it."""
    field, message = error.get("param"), error.get("message")
    return {"type": "error", "error": {"type": kind, "message": f"{field}: {message}" if field else message}}


def _openai_code(status: int, error: Json) -> str:  # noqa: ARG001  # the error says it
    return error.get("code") or "server_error"


DIALECTS: Mapping[str, Dialect] = {
    MESSAGES: Dialect(
        chat_of_messages,
        lambda asked, model: messages_answer.MessageStream(model),  # noqa: ARG005  # one signature
        lambda completion, asked: messages_answer.message(completion, completion["model"]),  # noqa: ARG005
        _anthropic_type,
        _anthropic_error,
        {"reasoning_effort": "thinking", "response_format": "output_config.format", "stop": "stop_sequences"},
    ),
    "/v1/responses": Dialect(
        chat_of_responses,
        responses_answer.ResponseStream,
        lambda completion, asked: responses_answer.response(completion, asked, completion["model"]),
        _openai_code,
        lambda kind, error: {"error": error},  # noqa: ARG005
        {"reasoning_effort": "reasoning.effort", "response_format": "text.format", "max_tokens": "max_output_tokens"},
    ),
}


# A prompt is counted without the limit that its answer will have.
_COUNTING = replace(
    DIALECTS[MESSAGES],
    chat_request=lambda asked: chat_of_messages({**asked, "max_tokens": 1, "stream": False}),
    whole=lambda counted, asked: counted,  # noqa: ARG005
)


def dialect_of(path: str) -> Dialect | None:
    """What clients of this path speak, whether or not anything is served there; None for OpenAI's own chats."""
    if path == COUNT_TOKENS:
        return _COUNTING
    return DIALECTS[MESSAGES] if path.startswith(f"{MESSAGES}/") else DIALECTS.get(path)


class SpeakingClient(Client):
    """A client that speaks a dialect."""

    def __init__(
        self, dialect: Dialect, scope: Scope, receive: Receive, send: Send, request_id: bytes, patience: Patience
    ) -> None:
        super().__init__(scope, receive, send, request_id, patience)
        self._dialect = dialect
        self._asked: Json = {}
        self._rendering: Rendering | None = None

    async def body(self, most: int) -> bytes:
        """The chat completion that says what the client asked for.

        Raises:
            BadRequest: as `json_object`.
            InvalidInput: a field is wrong, or cannot be said in a chat; names it.
        """
        self._asked = json_object(await super().body(most))
        chat = self._dialect.chat_request(self._asked)
        if chat.get("stream") is True:
            chat["stream_options"] = {"include_usage": True}
        return dumps(chat)

    async def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """A chat completion, in the client's words; anything but 200 is written as it is."""
        if status == OK:
            body = dumps(self._dialect.whole(loads(body), self._asked))
        await super().answer(status, headers, body)

    async def write(self, events: bytes) -> None:
        """Chunks, in the client's words; comments as they are."""
        if said := self._said(events):
            await super().write(said)

    async def end_stream(self, events: bytes) -> None:
        """The last chunks, and the dialect's own end."""
        said = self._said(events)
        await super().end_stream(said + self._speaking({}).end())

    async def refuse(self, refused: Refusal) -> None:
        """See `Client.refuse`; the connection is cut after a stream's error here too."""
        error = self._in_its_words(loads(refused.body)["error"])
        kind = self._dialect.error_type(refused.status, error)
        if not self.has_begun:
            document = dumps(self._dialect.error(kind, error))
            await super().answer(refused.status, refused.headers, document)
            return
        await super().write(self._speaking({}).fail(kind, str(error.get("message"))))
        await self.cut()

    def _in_its_words(self, error: Json) -> Json:
        """The error with the parameter's name as the client knows it."""
        name = error.get("param")
        own = self._dialect.names.get(name) if isinstance(name, str) else None
        if own is None:
            return error
        return {**error, "param": own, "message": str(error.get("message")).replace(f"`{name}`", f"`{own}`")}

    def _said(self, events: bytes) -> bytes:
        out = []
        for event in _events(events):
            if event.startswith(b":"):
                out.append(event + b"\n\n")
            elif (data := event.removeprefix(b"data: ")) != b"[DONE]":
                chunk = loads(data)
                out.append(self._speaking(chunk).feed(chunk))
        return b"".join(out)

    def _speaking(self, chunk: Json) -> Rendering:
        if self._rendering is None:
            model = str(chunk.get("model") or self._asked.get("model"))
            self._rendering = self._dialect.rendering(self._asked, model)
        return self._rendering


def _events(raw: bytes) -> Iterator[bytes]:
    return (event for event in raw.split(b"\n\n") if event)
