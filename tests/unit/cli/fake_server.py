"""A server of the wire contract without a socket: it holds one job and remembers what was asked of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import orjson

from cli.client import Client, Server

JOB_ID = "0192f0c1-0000-7000-8000-000000000001"
PATH = f"/api/analysis/{JOB_ID}"

Respond = Callable[[httpx.Request], httpx.Response]


def answer(model: str, text: str | None = "Because of scattering.", **fields: Any) -> dict[str, Any]:
    known = {
        "model": model,
        "served_by": model,
        "provider": "mock",
        "status": "completed",
        "text": text,
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        "cost_usd": 0.0,
        "latency_ms": 1234.5,
        "time_to_first_token_ms": 80.0,
        "attempts": 1,
        "cached": False,
        "error": None,
    }
    return known | fields


def failed(model: str, message: str = "The model is busy.") -> dict[str, Any]:
    error = {"code": "rate_limited", "message": message}
    return answer(model, None, status="failed", usage=None, latency_ms=None, error=error)


def document(*answers: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    models = [{"asked": one["model"], "id": one["model"]} for one in answers]
    known = {
        "id": JOB_ID,
        "status": status,
        "analysis_type": "comparative",
        "models": models,
        "created_at": "2026-11-21T04:00:00+00:00",
        "started_at": None,
        "finished_at": None,
        "progress": {"done": len(answers), "total": len(answers)},
        "links": {"self": PATH, "events": f"{PATH}/events", "cancel": f"{PATH}/cancel"},
        "prompt": "Why is the sky blue?",
        "output_format": "text",
        "answers": list(answers),
        "result": None,
        "text": "Both say scattering.",
        "error": None,
    }
    return known | fields


def story(final: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The events that lead to this document, as a worker would append them."""
    told: list[tuple[str, dict[str, Any]]] = [("job.status", {"status": "running", "progress": final["progress"]})]
    for place, one in enumerate(final["answers"]):
        call = {"call": f"call-{place}", "model": one["model"]}
        told.append(("call.started", {**call, "attempt": 1}))
        told += [("call.delta", {**call, "text": word}) for word in _words(one["text"])]
        told.append((f"call.{'finished' if one['status'] == 'completed' else 'failed'}", {**call, "answer": one}))
    return [*told, ("job.finished", final)]


class FakeServer(httpx.AsyncBaseTransport):
    """Tells `events` to whoever watches. `stream_lengths` cuts the first connections after so many events.

    `on(method, path, respond)` puts an answer in place of the usual one.
    """

    def __init__(
        self,
        final: dict[str, Any],
        *,
        events: Sequence[tuple[str, dict[str, Any]]] | None = None,
        stream_lengths: Sequence[int] = (),
    ) -> None:
        self.final = final
        self.events = list(events if events is not None else story(final))
        self.requests: list[httpx.Request] = []
        self._stream_lengths = list(stream_lengths)
        self._instead: dict[tuple[str, str], Respond] = {}

    def on(self, method: str, path: str, respond: Respond) -> None:
        self._instead[method, path] = respond

    def client(self, key: str | None = None) -> Client:
        return Client(Server("http://fake.test", key), self, submit_pauses_seconds=(0.001, 0.001))

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [one for one in self.requests if (one.method, one.url.path) == (method, path)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        usual: dict[tuple[str, str], Respond] = {
            ("POST", "/api/analyze"): self._accept,
            ("GET", PATH): lambda _: httpx.Response(200, json=self.final, headers={"etag": '"1"'}),
            ("POST", f"{PATH}/cancel"): lambda _: httpx.Response(202, json=self.final),
            ("GET", f"{PATH}/events"): self._stream,
        }
        respond = (usual | self._instead).get((request.method, request.url.path))
        return respond(request) if respond else problem(404, "No job of that id.")

    def _accept(self, _: httpx.Request) -> httpx.Response:
        names = ("id", "status", "analysis_type", "models", "created_at", "links")
        return httpx.Response(202, json={name: self.final[name] for name in names} | {"status": "queued"})

    def _stream(self, request: httpx.Request) -> httpx.Response:
        start = int(request.headers.get("last-event-id", "0"))
        length = self._stream_lengths.pop(0) if self._stream_lengths else len(self.events)
        told = [
            f"id: {number}\nevent: {name}\ndata: {orjson.dumps(data).decode()}\n\n".encode()
            for number, (name, data) in enumerate(self.events, start=1)
        ]
        stream = _Stream(told[start : start + length], is_cut=start + length < len(told))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, told: list[bytes], *, is_cut: bool) -> None:
        self._told = told
        self._is_cut = is_cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": welcome\n\nretry: 1000\n\n"
        for one in self._told:
            yield one
        if self._is_cut:
            yield b"id: 999\nevent: call.delta\ndata: {half of an ev"
            raise httpx.ReadError("cut")


def problem(status: int, detail: str, retry_after: str | None = None) -> httpx.Response:
    headers = {"retry-after": retry_after} if retry_after else {}
    return httpx.Response(status, json={"detail": detail}, headers=headers)


def _words(text: str | None) -> list[str]:
    return [word + " " for word in (text or "").split(" ")]
