"""The real app on the real server, in the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn

from api.main import create_app
from api.receiving import BoundedHttp
from api.server import KEEP_ALIVE_SECONDS, Server
from common.settings import Settings

# Longer than anything here takes on a loaded machine; only a failure waits for it.
PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def serving(
    settings: Settings, *, drain_seconds: int = 5, http: type[BoundedHttp] = BoundedHttp
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API with these settings; the API has stopped when the context ends."""
    app = create_app(settings)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        config = uvicorn.Config(
            app,
            http=http,
            log_config=None,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=drain_seconds,
        )
        server = Server(config, app)
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client:
            running = asyncio.create_task(server.serve(sockets=[sock]))
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not server.started:
                        assert not running.done(), "the API did not start"
                        await asyncio.sleep(0.01)
                yield client
            finally:
                server.should_exit = True
                await asyncio.wait_for(running, PATIENCE_SECONDS)
