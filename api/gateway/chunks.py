"""An upstream's stream of events, read piece by piece and passed on: the hot path of the gateway.

The first chunks are parsed. They show how this server writes (its order, its spaces, its names), and from then on
a chunk in the same hand that brings nothing but words is passed on as the bytes it came in, with the model's name
replaced. Whatever looks otherwise is parsed, put right and written anew.

A quotation mark inside a JSON string has a backslash before it, so `"name"` with its two bare marks is found in no
text that a model says: where these bytes are, there is a key or a value of that name.
"""

import re
from typing import Any

import orjson

from api.gateway.conforming import Document, Garbled, conform_chunk, head
from api.gateway.counting import reasoning_tokens_of, usage_of
from api.gateway.faults import Fault
from api.gateway.kinds import CHAT, Kind
from api.gateway.saying import said_error
from common.contracts.calls import Usage
from common.errors import BadUpstream
from common.providers.sse import MAX_EVENT_BYTES

DONE = b"[DONE]"

_ID = re.compile(rb'"id"\s*:\s*"[^"\\]*"')
_CREATED = re.compile(rb'"created"\s*:\s*\d+(?=[,}\s])')
_MODEL = re.compile(rb'"model"\s*:\s*"[^"\\]*"')
_NO_REASON = re.compile(rb'"finish_reason"\s*:\s*null')
_NO_USAGE = re.compile(rb'"usage"\s*:\s*null')
# What a chunk that brings only words does not have.
_RARE = (b'"error"', b'"tool_calls"', b'"function_call"')


class Chunks:
    """One stream. Bytes in as they arrive, bytes out as they go on: whole events, and never `[DONE]`."""

    def __init__(self, kind: Kind, server: str, model: str, *, wants_usage: bool, choices: int = 1) -> None:
        """`model` is what the answer is to say it comes from; `server` is named in errors."""
        self._kind = kind
        self._server = server
        self._first = {**head(kind, model), "object": kind.chunk}
        self._wants_usage = wants_usage
        self._choices = choices
        self._rest = b""
        self._held: list[bytes] = []
        self._finished: set[int] = set()
        self._counted: Any = None
        self._has_told_usage = False
        self._has_head = False
        self._hand: _Hand | None = None
        self.has_begun = False
        self.is_done = False
        self.fault: Fault | None = None
        """What went wrong after all that was returned so far; whoever passes that on raises this next."""

    @property
    def usage(self) -> Usage | None:
        """What the server counted, once it has said so."""
        return usage_of(self._counted)

    @property
    def reasoning_tokens(self) -> int | None:
        """How many tokens it thought."""
        return reasoning_tokens_of(self._counted)

    def feed(self, piece: bytes) -> bytes:
        """What may go on of this piece and those before it; nothing before the first token.

        Once there is a `fault`, the server said that it failed, or what it said cannot be read.
        """
        data = self._rest + piece if self._rest else piece
        if b"\r" in data:
            # the halves of a line's end may come in two pieces
            held = b"\r" if data.endswith(b"\r") else b""
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n") + held
        end = data.rfind(b"\n\n")
        if end < 0:
            self._hold(data)
            return b""
        self._hold(data[end + 2 :])
        return self._events(data[:end].split(b"\n\n"))

    def end(self) -> bytes:
        """The last events, if the answer was whole.

        Raises:
            Fault: it broke off.
        """
        out = self.feed(b"\n\n") if self._rest.strip() else b""
        if self.fault is not None:
            raise self.fault
        if not self._finished or not (self.is_done or len(self._finished) >= self._choices):
            raise Fault(BadUpstream(f"{self._server} broke off in the middle of its answer."))
        if self._wants_usage and not self._has_told_usage and self._counted is not None:
            out += _event({**self._first, "choices": [], "usage": self._counted})
        return out

    def _hold(self, rest: bytes) -> None:
        if len(rest) > MAX_EVENT_BYTES:
            self.fault = Fault(BadUpstream(f"{self._server} sent an event of more than {MAX_EVENT_BYTES} bytes."))
        self._rest = rest

    def _events(self, events: list[bytes]) -> bytes:
        out: list[bytes] = []
        hand = self._hand
        for event in events:
            if self.is_done:
                break
            if hand is not None and hand.wrote(event):
                out.append(event.replace(hand.model, hand.served_model, 1))
                continue
            try:
                made = self._parsed(event)
            except Fault as fault:
                self.fault = fault
                break
            if made is not None:
                out.append(made)
                hand = self._hand
        if not self.has_begun:
            self._held += out
            return b""
        if self._held:
            out, self._held = [*self._held, *out], []
        if not out:
            return b""
        out.append(b"")
        return b"\n\n".join(out)

    def _parsed(self, event: bytes) -> bytes | None:
        """The event as it goes on, without its end; None if there is nothing to tell."""
        data = _data_of(event)
        if not data:
            return None
        if data == DONE:
            self.is_done = True
            return None
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Fault(BadUpstream(f"{self._server} sent something that is not a chunk of an answer.")) from None
        if isinstance(chunk, dict) and chunk.get("error"):
            raise said_error(self._server, chunk["error"])
        self._learn_head(chunk)
        try:
            conform_chunk(chunk, self._kind, self._first)
        except Garbled as error:
            raise Fault(BadUpstream(f"{self._server} sent a chunk that is none: {error}.")) from None
        is_for_client = self._note(chunk)
        if self._hand is None and self.has_begun:
            self._hand = _Hand.of(event, chunk, self._kind)
        return b"data: " + orjson.dumps(chunk) if is_for_client else None

    def _learn_head(self, chunk: Any) -> None:
        """All chunks share the id and the time of the first one."""
        if not self._has_head and isinstance(chunk, dict):
            self._has_head = True
            for key in ("id", "created"):
                if isinstance(given := chunk.get(key), type(self._first[key])) and given:
                    self._first[key] = given

    def _note(self, chunk: Document) -> bool:
        """Take from a chunk what concerns us; returns whether the client should see it."""
        choices = chunk["choices"]
        for choice in choices:
            if choice["finish_reason"] is not None:
                self._finished.add(choice["index"])
                self.has_begun = True
            elif not self.has_begun and _says_something(choice):
                self.has_begun = True
        counted = chunk.get("usage")
        if counted is None:
            # events without either are no part of the format
            return bool(choices)
        self._counted = counted
        if choices:
            # OpenAI tells it in an event of its own, and so do we
            del chunk["usage"]
            return True
        self._has_told_usage = self._wants_usage
        return self._wants_usage


class _Hand:
    """How a server writes: what the chunks of one stream have in common, byte for byte."""

    def __init__(self, common: tuple[bytes, ...], absent: tuple[bytes, ...], model: bytes, served_model: bytes) -> None:
        self._common = common
        self._absent = absent
        self.model = model
        self.served_model = served_model

    def wrote(self, event: bytes) -> bool:
        """Whether this is a chunk like the others that brings only words."""
        if not event.startswith(b"data: {") or not event.endswith(b"}"):
            return False
        for part in self._common:
            if part not in event:
                return False
        for part in self._absent:  # loops, for `all` of a generator takes three times as long
            if part in event:
                return False
        return event.isascii() or _is_utf8(event)

    @classmethod
    def of(cls, event: bytes, chunk: Document, kind: Kind) -> "_Hand | None":
        """The hand in which a chunk was written; None if it did not conform, or ended the answer.

        `chunk` is the event made to conform: but for the model's name it must say what the event said.
        """
        found = [pattern.search(event) for pattern in (_ID, _CREATED, _MODEL, _NO_REASON)]
        if b"\n" in event or not all(found):
            return None
        said = orjson.loads(_data_of(event))
        if "logprobs" not in said["choices"][0] or {**said, "model": chunk["model"]} != chunk:
            return None
        id_, created, model, no_reason = (match.group() for match in found if match)
        no_usage = _NO_USAGE.search(event)
        common = [id_, created, model, no_reason, b'"choices"', b'"logprobs"']
        common.append(b'"delta"' if kind is CHAT else b'"text"')
        absent = [*_RARE]
        if no_usage:
            common.append(no_usage.group())
        else:
            absent.append(b'"usage"')
        return cls(tuple(common), tuple(absent), model, b'"model":' + orjson.dumps(chunk["model"]))


def _says_something(choice: Document) -> bool:
    if "text" in choice:
        return bool(choice["text"])
    return any(value for name, value in choice["delta"].items() if name != "role")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _data_of(event: bytes) -> bytes:
    """The data of an event, without the names of its fields; empty for a comment."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:].strip()
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[5:].strip() for line in lines)


def _event(chunk: Document) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(chunk)
