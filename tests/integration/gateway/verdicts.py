"""What a client hears of a fault, through each interface: a status, or an error that is a stream's last event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.contract.troubles import Trouble
from tests.integration.gateway.talking import HELLO

Document = dict[str, Any]

# What a server of our interface is passed on as: its own status, and OpenAI's code.
STATUSES = {
    Trouble.RATE_LIMITED: (429, "rate_limit_exceeded"),
    Trouble.SERVER_ERROR: (500, "unavailable"),
    Trouble.OVERLOADED: (529, "unavailable"),
    Trouble.AWAY: (503, "unavailable"),
    Trouble.WRONG_KEY: (502, "upstream_denied"),
    Trouble.NO_SUCH_MODEL: (404, "model_not_found"),
    Trouble.TOO_LONG: (400, "context_length_exceeded"),
    Trouble.REFUSED: (400, "content_filter"),
    Trouble.NO_RESPONSE: (504, "timeout"),
    Trouble.SLOW_FIRST_TOKEN: (504, "timeout"),
    Trouble.STALL: (504, "timeout"),
    Trouble.DISCONNECT: (502, "bad_upstream"),
    Trouble.TRUNCATED: (502, "bad_upstream"),
    Trouble.BROKEN_JSON: (502, "bad_upstream"),
    Trouble.BROKEN_SHAPE: (502, "bad_upstream"),
    Trouble.BROKEN_UTF8: (502, "bad_upstream"),
    Trouble.ERROR_HALFWAY: (503, "unavailable"),
}
ANTHROPIC_TYPES = {
    429: "rate_limit_error",
    404: "not_found_error",
    400: "invalid_request_error",
    503: "overloaded_error",
    529: "overloaded_error",
    504: "timeout_error",
}


@dataclass(frozen=True)
class Interface:
    """One of those that the gateway speaks: how it is asked, and where it puts an error and its name."""

    path: str
    question: Document
    error: Callable[[Document], Document | None]
    clean_end: bytes
    types: Mapping[int, str] | None = None
    """Errors' names by their status, where OpenAI's codes are not used."""

    def asked(self, model: str, *, is_streamed: bool) -> Document:
        """A request."""
        return {"model": model, "stream": is_streamed, **self.question}

    def name(self, status: int, code: str) -> str:
        """What an error of that status, and of that code at OpenAI's, is called here."""
        return code if self.types is None else self.types.get(status, "api_error")


INTERFACES = {
    "chat": Interface(
        "/v1/chat/completions",
        {"messages": HELLO},
        lambda document: document.get("error"),
        b"[DONE]",
    ),
    "messages": Interface(
        "/v1/messages",
        {"messages": HELLO, "max_tokens": 100},
        lambda document: document["error"] if document.get("type") == "error" else None,
        b"message_stop",
        ANTHROPIC_TYPES,
    ),
    "responses": Interface(
        "/v1/responses",
        {"input": HELLO},
        lambda document: document.get("error") or document.get("response", {}).get("error"),
        b"response.completed",
    ),
}


@dataclass(frozen=True)
class Heard:
    """An error, with its status where it came before the first token, and 200 where it came after it."""

    status: int
    name: str
    message: str


async def heard(api: httpx.AsyncClient, interface: Interface, model: str, *, is_streamed: bool) -> Heard | None:
    """How the request failed; None if it was answered whole. Fails if it ended as neither."""
    said = b""
    is_cut = False
    try:
        async with api.stream("POST", interface.path, json=interface.asked(model, is_streamed=is_streamed)) as response:
            async for piece in response.aiter_bytes():
                said += piece
    except httpx.RemoteProtocolError:
        is_cut = True
    if response.status_code != 200:
        assert not is_cut, said
        return _heard(response.status_code, interface.error(orjson.loads(said)))
    if not is_streamed:
        assert not is_cut, said
        assert interface.error(orjson.loads(said)) is None
        return None
    events = [orjson.loads(line[6:]) for line in said.split(b"\n") if line.startswith(b"data: {")]
    assert is_cut != (interface.clean_end in said), said
    if not is_cut:
        assert not any(interface.error(event) for event in events), said
        return None
    return _heard(200, interface.error(events[-1]))


def _heard(status: int, error: Document | None) -> Heard:
    assert error is not None
    return Heard(status, error.get("code") or error["type"], error["message"])
