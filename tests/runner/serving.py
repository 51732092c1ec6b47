"""An instance behind a real HTTP server, in the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import uvicorn

from runner.app import create_app
from runner.engines.protocol import Engine
from runner.instance import Instance
from runner.metrics import Metrics
from runner.serving import Server
from runner.settings import Settings


@dataclass
class Served:
    instance: Instance
    client: httpx2.AsyncClient
    exit_code: "asyncio.Task[int]"


def settings(**changes: object) -> Settings:
    return Settings.model_validate({"model_id": "local-small", "model_path": "/models/small", "threads": 1, **changes})


@asynccontextmanager
async def served(load: Callable[[Settings], Awaitable[Engine]], **changes: object) -> AsyncIterator[Served]:
    metrics = Metrics()
    instance = Instance(settings(**changes), load, metrics)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(uvicorn.Config(create_app(instance, metrics), ws="none", lifespan="off", log_config=None))
        listening = asyncio.create_task(server.serve(sockets=[listener]))
        ending = asyncio.create_task(instance.run())
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
            yield Served(instance, client, ending)
        instance.drain()
        await ending
        server.should_exit = True
        await listening


@asynccontextmanager
async def ready(engine: Engine, **changes: object) -> AsyncIterator[Served]:
    """The same, once it is ready."""

    async def load(_: Settings) -> Engine:
        return engine

    async with served(load, **changes) as all_of_it:
        await until_ready(all_of_it.client)
        yield all_of_it


async def until_ready(client: httpx2.AsyncClient, seconds: float = 60) -> None:
    """Ask until it is. Each question goes over the wire, so that whoever is asked can work meanwhile."""
    async with asyncio.timeout(seconds):
        while (await client.get("/ready")).status_code != 200:
            pass
