"""An upstream's stream of events, read piece by piece and passed on: the hot path of the gateway.

The first chunks are parsed. They show in what hand this server writes (its order, its spaces, its names), and from
then on a chunk in the same hand that brings nothing but words is passed on as the bytes it came in, with the model's
name replaced. Whatever looks otherwise is parsed, put right and written anew.
"""

import re
from collections.abc import Sequence
from typing import Any

from api.gateway.conforming import Document, Garbled, conform_chunk, head, model_named
from api.gateway.counting import reasoning_tokens_of, usage_of
from api.gateway.faults import Fault
from api.gateway.json_bytes import dumps, loads
from api.gateway.kinds import Kind
from api.gateway.saying import said_error
from common.contracts.calls import Usage
from common.errors import BadUpstream
from common.providers.sse import MAX_EVENT_BYTES

DONE = b"[DONE]"

_MODEL = re.compile(rb'"model"\s*:\s*"[^"\\]*"')
# The inside of a JSON string, up to its end or to what cannot be in one (RFC 8259, section 7).
_STRING = re.compile(rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')


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
        self._held_bytes = 0
        self._finished: set[int] = set()
        self._counted: Any = None
        self._has_told_usage = False
        self._has_head = False
        self._hand: _Hand | None = None
        self.response_model: str | None = None
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
            self._has_told_usage = True
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
            if hand is not None and (rewritten := hand.rewritten(event)) is not None:
                out.append(rewritten)
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
            self._held_bytes += sum(map(len, out))
            if self._held_bytes > MAX_EVENT_BYTES:
                self.fault = self.fault or Fault(BadUpstream(f"{self._server} said nothing, and that without end."))
            return b""
        if self._held:
            out, self._held = [*self._held, *out], []
        if not out:
            return b""
        out.append(b"")
        return b"\n\n".join(out)

    def _parsed(self, event: bytes) -> bytes | None:
        """The event as it goes on, without its end; None if there is nothing to tell."""
        if event.startswith(b"error:"):  # older llama.cpp, of what went wrong in the middle
            data = b'{"error":%b}' % event.removeprefix(b"error:")
        elif not (data := _data_of(event)):
            return None
        if data == DONE:
            self.is_done = True
            return None
        try:
            chunk = loads(data)
        except ValueError:
            raise Fault(BadUpstream(f"{self._server} sent something that is not a chunk of an answer.")) from None
        if isinstance(chunk, dict) and chunk.get("error"):
            raise said_error(self._server, chunk["error"])
        self._learn_head(chunk)
        try:
            conform_chunk(chunk, self._kind, self._first)
        except Garbled as error:
            raise Fault(BadUpstream(f"{self._server} sent a chunk that is none: {error}.")) from None
        is_for_client = self._note(chunk)
        if self.has_begun and not self._finished:
            self._hand = _Hand.of(event, chunk) or self._hand
        return b"data: " + dumps(chunk) if is_for_client else None

    def _learn_head(self, chunk: Any) -> None:
        """All chunks share the id and the time of the first one."""
        if not self._has_head and isinstance(chunk, dict):
            self._has_head = True
            self.response_model = model_named(chunk)
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
    """How a server writes: what its chunks that bring only words have in common, byte for byte.

    Fixed bytes with strings between them, each of which is checked to be one: what fits is known to be a chunk.
    """

    def __init__(self, parts: Sequence[bytes], served: Sequence[bytes]) -> None:
        """`parts` stand around the strings; `served` are the same with our name for the model."""
        self._first, *self._others = parts
        self._served_first, *served_others = served
        self._pairs = tuple(zip(self._others, served_others, strict=True))

    def rewritten(self, event: bytes) -> bytes | None:
        """The event with our name for the model, or None if it is another kind of chunk."""
        if not event.startswith(self._first):
            return None
        begin = len(self._first)
        out = self._served_first
        for part, served in self._pairs:
            end = _STRING.match(event, begin).end()  # type: ignore[union-attr]  # an empty one always matches
            if not event.startswith(part, end):
                return None
            out += event[begin:end] + served
            begin = end + len(part)
        if begin != len(event) or not (event.isascii() or _is_utf8(event)):
            return None
        return out

    @classmethod
    def of(cls, event: bytes, chunk: Document) -> "_Hand | None":
        """The hand in which a chunk was written that brings only words; None if it brings anything else.

        `chunk` is the event made to conform: but for the model's name it must say what the event said.
        """
        said = loads(_data_of(event))
        if b"\n" in event or len(chunk["choices"]) != 1 or {**said, "model": chunk["model"]} != chunk:
            return None
        choice = said["choices"][0]
        words = choice.get("delta", {"text": choice.get("text")})
        if len(words) != 1 or not isinstance(next(iter(words.values())), str):
            return None
        [name] = words
        parts = [event]
        for varying in (name, *(["obfuscation"] if "obfuscation" in said else [])):
            hole = re.search(rb'"%b"\s*:\s*"' % re.escape(varying.encode()), parts[-1])
            if hole is None:
                return None
            end = _STRING.match(parts[-1], hole.end()).end()  # type: ignore[union-attr]  # as above
            parts[-1:] = [parts[-1][: hole.end()], parts[-1][end:]]
        ours = b'"model":' + dumps(chunk["model"])
        served = [_MODEL.sub(lambda _: ours, part, count=1) for part in parts]
        # the space is a matter of taste, which not every reader of ours has
        served[0] = b"data: " + served[0].removeprefix(b"data:").lstrip()
        hand = cls(parts, served)
        return hand if hand._is_right(event, chunk) else None

    def _is_right(self, event: bytes, chunk: Document) -> bool:
        """Whether the event, written anew, says what it should: the strings may have been somebody else's."""
        rewritten = self.rewritten(event)
        return rewritten is not None and loads(rewritten[len(b"data: ") :]) == chunk


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
    return b"data: %b\n\n" % dumps(chunk)
