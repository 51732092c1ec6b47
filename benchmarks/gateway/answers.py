"""What is asked and what is answered, in the sizes that chats have.

A stream is 64 events before `[DONE]`: who speaks, 62 words, and why it ended; with a 65th, the usage, where
the request asks for it. Shapes and order of keys are OpenAI's own.
"""

from collections.abc import Iterator

import orjson

CHUNKS = 64
FIRST_WORD = "Gateways"
_WORDS = (
    " that hold a thousand conversations open spend their time on very little things: a few bytes come in,"
    " somebody has to look whether they are what they seem to be, and the same few bytes go out again to whoever"
    " waits for them. What they do besides, they do for every token, so it had better be next to nothing at all."
)
# every word begins with a space, so that a reader can count them by it
_PIECES = [f" {word}" for word in (FIRST_WORD + _WORDS * 2).split()][: CHUNKS - 2]
_SYSTEM = (
    "You are the assistant of a software company. Answer in plain words and short sentences. Say what you know, say"
    " what you do not know, and never make up a name, a number or a quotation. If a question has several readings,"
    " say which one you took. Use the language of the question. Lists only where order matters. "
)
_USAGE = {
    "prompt_tokens": 312,
    "completion_tokens": CHUNKS - 2,
    "total_tokens": 312 + CHUNKS - 2,
    "prompt_tokens_details": {"cached_tokens": 256, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
# the name that the upstream knows its model by
_UPSTREAM_MODEL = "canned-1"


def question(model: str, *, is_streamed: bool) -> bytes:
    """The body of a request: a system prompt, two turns and a question, about 1.3 kB."""
    turns = [
        {"role": "system", "content": _SYSTEM * 2},
        {"role": "user", "content": "What is it that a gateway spends its time on?"},
        {"role": "assistant", "content": _WORDS.strip()},
        {"role": "user", "content": "Is there a way to do less of it, and what would have to be given up for it?"},
    ]
    body = {"model": model, "messages": turns, "temperature": 0.7, "max_tokens": 256}
    return orjson.dumps(body | ({"stream": True} if is_streamed else {}))


def whole_answer() -> bytes:
    """The JSON of an answer that is not streamed, about 1.2 kB."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(_PIECES * 2),
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return orjson.dumps({**_head("chat.completion"), "choices": [choice], "usage": _USAGE})


def events(*, words: int = CHUNKS - 2, with_usage: bool) -> Iterator[bytes]:
    """Each event of a streamed answer of that many words, `[DONE]` included."""
    yield _event({"role": "assistant", "content": "", "refusal": None}, with_usage=with_usage)
    for number in range(words):
        yield _event({"content": _PIECES[number % len(_PIECES)]}, with_usage=with_usage)
    yield _event({}, finish_reason="stop", with_usage=with_usage)
    if with_usage:
        yield _data({**_head("chat.completion.chunk"), "choices": [], "usage": _USAGE})
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, str | None], *, with_usage: bool, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk: dict[str, object] = {**_head("chat.completion.chunk"), "choices": [choice]}
    return _data(chunk | ({"usage": None} if with_usage else {}))


def _head(kind: str) -> dict[str, object]:
    return {
        "id": "chatcmpl-BxJ3mVq0uJ6kP9sWcT2rYdE8aLhN4",
        "object": kind,
        "created": 1_795_000_000,
        "model": _UPSTREAM_MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
    }


def _data(chunk: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
