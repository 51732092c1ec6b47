"""The bare peer: what a good engineer writes in an hour. No keys, no limits, no fallbacks, no usage, no checks.

`BARE_UPSTREAM` is the upstream's base; a model `MANNER-NAME` lives at `/MANNER/v1` there.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ["BARE_UPSTREAM"]


async def chat(request: Request) -> Response:
    body = orjson.loads(await request.body())
    manner, _, body["model"] = body["model"].partition("-")
    url = f"{UPSTREAM}/{manner}/v1/chat/completions"
    headers = {"authorization": "Bearer upstream", "content-type": "application/json"}
    upstream = await request.app.state.session.post(url, data=orjson.dumps(body), headers=headers)
    if body.get("stream"):
        return StreamingResponse(_chunks(upstream), upstream.status, media_type="text/event-stream")
    async with upstream:
        return Response(await upstream.read(), upstream.status, media_type="application/json")


async def _chunks(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with upstream:
        async for chunk in upstream.content.iter_any():
            yield chunk


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        app.state.session = session
        yield


app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)
