"""What the tests say to the gateway, in few words."""

from typing import Any

import httpx
import orjson

Document = dict[str, Any]

HELLO = [{"role": "user", "content": "Tell me a story."}]


async def chat(
    api: httpx.AsyncClient, model: str, *, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    return await api.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more}, headers=headers)


async def stream(api: httpx.AsyncClient, model: str, **more: Any) -> list[Document]:
    """The chunks of a stream that ended well."""
    response = await chat(api, model, stream=True, **more)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return chunks_of(response.text)


def chunks_of(text: str) -> list[Document]:
    *events, last = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    assert last == "data: [DONE]", last
    return [orjson.loads(event.removeprefix("data: ")) for event in events]


def text_of(chunks: list[Document]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def error_of(response: httpx.Response) -> Document:
    """The error of a response that has nothing else; fails if it is not OpenAI's envelope."""
    assert response.headers["content-type"] == "application/json", response.text
    assert response.headers["x-request-id"]
    document = response.json()
    assert document.keys() == {"error"}
    error: Document = document["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error
