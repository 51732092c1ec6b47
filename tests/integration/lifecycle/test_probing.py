"""Servers in containers that are not ours, as far as they are asked; without Docker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from common.catalog.local import LocalModel
from common.fleet.contracts import Fault
from worker.lifecycle.probing import NotYet, Prober

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def entry(engine: str, **fields: Any) -> LocalModel:
    said = {"id": "local-x", "source": {"path": "x"}, "engine": engine, "memory": "1 GiB", **fields}
    return LocalModel.model_validate(said)


@asynccontextmanager
async def server(**answers: tuple[int, Any]) -> AsyncIterator[str]:
    """Says what it is told to below `/`; 404 to all else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        status, said = answers.get(request.path.strip("/").replace("/", "_"), (404, {"error": "no such path"}))
        return (
            web.Response(status=status, text=said) if isinstance(said, str) else web.json_response(said, status=status)
        )

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    prober = Prober()
    yield prober
    await prober.close()


async def test_a_runner_is_believed_and_one_that_talks_nonsense_is_silent(prober: Prober) -> None:
    said = {"status": "ready", "model": "local-x", "in_flight": 1, "new_field": 1}
    async with server(health=(200, said)) as url:
        health = await prober.health(entry("llamacpp"), url)
        assert health is not None
        assert (health.status, health.is_busy) == ("ready", True)
    async with server(health=(200, "<html>")) as url:
        assert await prober.health(entry("llamacpp"), url) is None
    assert await prober.health(entry("llamacpp"), "http://127.0.0.1:1") is None


async def test_a_runner_proves_itself_or_says_why_not(prober: Prober) -> None:
    async with server(ready=(200, {})) as url:
        assert await prober.prove(entry("llamacpp"), url) is None
    async with server(ready=(503, {"reason": "loading"})) as url:
        assert isinstance(await prober.prove(entry("llamacpp"), url), NotYet)
    async with server(ready=(500, {"error": "CUDA error"})) as url:
        fault = await prober.prove(entry("llamacpp"), url)
        assert isinstance(fault, Fault)
        assert "CUDA error" in fault.message


async def test_vllm_is_asked_for_its_models_its_counters_and_a_token(prober: Prober) -> None:
    metrics = "vllm:num_requests_running 0.0\nvllm:generation_tokens_total 5.0\n"
    model = entry("vllm", gpu=1)
    async with server(v1_models=(200, {}), metrics=(200, metrics), v1_chat_completions=(200, {})) as url:
        health = await prober.health(model, url)
        assert health is not None
        assert health.status == "ready"
        assert health.idle_seconds is not None
        assert await prober.prove(model, url) is None


async def test_a_foreign_server_without_counters_is_never_called_idle(prober: Prober) -> None:
    async with server(v1_models=(200, {})) as url:
        health = await prober.health(entry("vllm", gpu=1), url)
        assert health is not None
        assert (health.status, health.idle_seconds) == ("ready", None)
    async with server(v1_models=(503, {})) as url:
        health = await prober.health(entry("vllm", gpu=1), url)
        assert health is not None
        assert health.status == "loading"


async def test_a_container_cannot_have_a_worker_remember_anything(prober: Prober) -> None:
    came_back: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        came_back.extend(request.cookies)
        said = web.json_response({"status": "ready"})
        said.set_cookie(f"c{len(came_back)}", "x" * 4000)
        return said

    app = web.Application()
    app.router.add_get("/health", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        for _ in range(3):
            # by a name, as in Compose: of addresses no cookie is kept anyway
            url = f"http://localhost:{runner.addresses[0][1]}"
            assert await prober.health(entry("llamacpp"), url) is not None
    finally:
        await runner.cleanup()
    assert came_back == []
