"""Pieces of an answer in OpenAI's shapes: chunks of a stream, or one completion."""

import secrets
import time
from collections.abc import Mapping
from typing import Any

from runner.contracts import Piece, Usage


class Shape:
    """One answer. All of its chunks share an id and a time."""

    def __init__(self, model: str) -> None:
        self._common = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}

    def opening(self, *, counts: bool) -> dict[str, Any]:
        """The first chunk, which says who speaks. `counts`: the stream will end with its usage."""
        return self._chunk([_choice({"role": "assistant", "content": ""}, Piece())], counts=counts)

    def chunk(self, piece: Piece, *, counts: bool) -> dict[str, Any] | None:
        """What a piece adds; None where it adds nothing that a reader sees."""
        if not piece.delta and piece.finish_reason is None:
            return None
        return self._chunk([_choice(piece.delta, piece)], counts=counts)

    def closing(self, usage: Usage) -> dict[str, Any]:
        """The last chunk: no choice, the usage."""
        return self._chunk([], counts=False) | {"usage": usage.as_json()}

    def completion(self, answer: "Collected") -> dict[str, Any]:
        """The whole answer."""
        choice = {
            "index": 0,
            "message": answer.message,
            "logprobs": answer.logprobs,
            "finish_reason": answer.finish_reason,
        }
        return {
            **self._common,
            "object": "chat.completion",
            "choices": [choice],
            "usage": answer.usage.as_json() if answer.usage else None,
        }

    def _chunk(self, choices: list[dict[str, Any]], *, counts: bool) -> dict[str, Any]:
        chunk = {**self._common, "object": "chat.completion.chunk", "choices": choices}
        return chunk | {"usage": None} if counts else chunk


class Collected:
    """An answer put together from its pieces."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        self.finish_reason: str | None = None
        self.logprobs: dict[str, Any] | None = None
        self.usage: Usage | None = None

    def add(self, piece: Piece) -> None:
        """The next piece."""
        for name, value in piece.delta.items():
            if name == "tool_calls":
                self._add_tool_calls(value)
            else:
                self.message[name] = self.message.get(name, "") + value
        if piece.logprobs:
            said = (self.logprobs or {}).get("content") or []
            self.logprobs = {"content": said + (piece.logprobs.get("content") or []), "refusal": None}
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.usage = piece.usage or self.usage

    def _add_tool_calls(self, deltas: list[Mapping[str, Any]]) -> None:
        """Each delta names its call by index; of the arguments it brings the next characters."""
        calls = self.message.setdefault("tool_calls", [])
        for delta in deltas:
            while len(calls) <= delta["index"]:
                calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
            call = calls[delta["index"]]
            call["id"] = delta.get("id") or call["id"]
            for name, value in delta.get("function", {}).items():
                call["function"][name] += value or ""


def _choice(delta: Mapping[str, Any], piece: Piece) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "logprobs": piece.logprobs, "finish_reason": piece.finish_reason}
