"""A request's body: parsed once, and checked as far as every way to a model needs it."""

from dataclasses import dataclass
from typing import Any

from api.gateway.fields import json_object
from api.gateway.kinds import CHAT, COMPLETION, Kind
from common.errors import InvalidInput

MAX_MODEL_CHARACTERS = 200
MAX_CHOICES = 128
# A token of English is about four bytes; used where nobody has counted yet.
BYTES_A_TOKEN = 4
# In a chat completion that a dialect wrote: what the client's own `thinking` said, for models that know more of that
# than an effort. Parsing takes it out, so that no server sees it.
THINKING = "ultra_thinking"
REQUIRED = {"chat": "messages", "completion": "prompt", "embedding": "input"}


@dataclass(slots=True)
class Asked:
    """What a client asks for. `body` is its JSON, which nobody changes: each way makes its own of it.

    `thinking` is Anthropic's parameter of that name, which a chat completion has no place for.
    """

    kind: Kind
    body: dict[str, Any]
    model: str
    is_streamed: bool
    wants_usage: bool
    choices: int
    size: int
    thinking: dict[str, Any] | None = None

    @property
    def estimated_tokens(self) -> int:
        """Prompt and answer, before anybody counted: by the body's size and the most that may be answered."""
        most = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        answer = most * self.choices if isinstance(most, int) and most > 0 else 0
        return self.size // BYTES_A_TOKEN + answer


def parse(kind: Kind, raw: bytes) -> Asked:
    """The request in these bytes.

    Raises:
        BadRequest: as `json_object`.
        InvalidInput: a field that we go by is wrong; names it. The rest is for the model's server to judge.
    """
    body = json_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_CHARACTERS:
        raise InvalidInput("`model` names the model to ask: GET /v1/models lists them.", field="model")
    if kind is CHAT:
        _check_messages(body)
    elif (required := REQUIRED[kind.name]) not in body:
        raise InvalidInput(f"`{required}` is missing.", field=required)
    thinking = body.pop(THINKING, None)
    is_streamed, wants_usage = _streaming(body) if kind in (CHAT, COMPLETION) else (False, False)
    return Asked(kind, body, model, is_streamed, wants_usage, _choices(body), len(raw), thinking)


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInput("`messages` is a list of at least one message.", field="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise InvalidInput("A message is an object with a `role`.", field=f"messages[{place}]")


def _streaming(body: dict[str, Any]) -> tuple[bool, bool]:
    is_streamed = body.get("stream")
    if is_streamed is not None and not isinstance(is_streamed, bool):
        raise InvalidInput("`stream` is true or false.", field="stream")
    options = body.get("stream_options")
    if options is None:
        return bool(is_streamed), False
    if not isinstance(options, dict):
        raise InvalidInput("`stream_options` is an object.", field="stream_options")
    if not is_streamed:
        raise InvalidInput("`stream_options` goes with `stream: true`.", field="stream_options")
    return True, options.get("include_usage") is True


def _choices(body: dict[str, Any]) -> int:
    number = body.get("n")
    if number is None:
        return 1
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_CHOICES:
        raise InvalidInput(f"`n` is a number from 1 to {MAX_CHOICES}.", field="n")
    return number
