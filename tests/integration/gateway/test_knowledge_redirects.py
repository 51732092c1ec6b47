"""A knowledge agent that would have somebody else told what people ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from api.gateway.knowledge import KnowledgeAgent

FOUND = {"documents": [{"id": "1", "score": 1.0, "source": "an inner server"}]}


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [302, 303, 307, 308])
async def test_it_cannot_send_a_question_elsewhere(status: int) -> None:
    heard: list[str] = []

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"location": f"{elsewhere}/latest"})

    async def hear(request: web.Request) -> web.Response:
        heard.append(await request.text())
        return web.json_response(FOUND)

    inner, outer = web.Application(), web.Application()
    inner.router.add_route("*", "/latest", hear)
    outer.router.add_post("/query", redirect)
    async with serving(inner) as elsewhere, serving(outer) as url:
        agent = KnowledgeAgent(url)
        try:
            assert await agent.find("What is our secret?") is None
        finally:
            await agent.close()
    assert heard == []
