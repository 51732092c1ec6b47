"""A model server that answers at once, always the same: what is left to measure is the client.

    python -m benchmarks.canned_server PORT

Speaks just enough of each wire format for one streamed answer of TOKENS pieces.
"""

import asyncio
import json
import sys
from collections.abc import Iterable
from contextlib import suppress

TOKENS = 50
WORDS = [f" word{number}" for number in range(TOKENS)]


def _sse(*events: object, named: bool = False) -> bytes:
    lines = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        head = f"event: {event['type']}\n" if named and isinstance(event, dict) else ""
        lines.append(f"{head}data: {data}\n\n")
    return "".join(lines).encode()


def _openai() -> bytes:
    def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return {**head, "choices": [choice], "usage": None}

    usage = {"prompt_tokens": 9, "completion_tokens": TOKENS, "total_tokens": 9 + TOKENS}
    last = {**chunk({}), "choices": [], "usage": usage}
    return _sse(*(chunk({"content": word}) for word in WORDS), chunk({}, "stop"), last, "[DONE]")


def _anthropic() -> bytes:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    pieces: Iterable[dict[str, object]] = (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS
    )
    return _sse(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *pieces,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": TOKENS},
        },
        {"type": "message_stop"},
        named=True,
    )


def _google() -> bytes:
    def chunk(word: str, **more: str) -> dict[str, object]:
        candidate = {"content": {"role": "model", "parts": [{"text": word}]}, "index": 0, **more}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": TOKENS, "totalTokenCount": 9 + TOKENS}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}

    return _sse(*(chunk(word) for word in WORDS[:-1]), chunk(WORDS[-1], finishReason="STOP"))


def _ollama() -> bytes:
    head = {"model": "m", "created_at": "2026-11-21T00:00:00Z"}
    lines = [{**head, "message": {"role": "assistant", "content": word}, "done": False} for word in WORDS]
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": TOKENS}
    lines.append({**head, "message": {"role": "assistant", "content": ""}, **end})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _response(body: bytes, kind: str) -> bytes:
    # one chunk a piece of the answer, as servers flush them
    end = b"\n" if kind == "application/x-ndjson" else b"\n\n"
    pieces = [piece + end for piece in body.split(end) if piece]
    chunks = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        + chunks
        + b"0\r\n\r\n"
    )


ANSWERS = {
    "/v1/chat/completions": _response(_openai(), "text/event-stream"),
    "/v1/messages": _response(_anthropic(), "text/event-stream"),
    "/v1beta/": _response(_google(), "text/event-stream"),
    "/api/chat": _response(_ollama(), "application/x-ndjson"),
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            path = head.split(" ", 2)[1]
            length = next((line for line in head.split("\r\n") if line.startswith("content-length:")), ":0")
            await reader.readexactly(int(length.split(":")[1]))
            answer = next(answer for prefix, answer in ANSWERS.items() if path.startswith(prefix))
            writer.write(answer)
            await writer.drain()
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1])))
