import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from common.settings import Settings
from tests.integration.api.acting import ActingWorker, acting_worker
from tests.integration.api.serving import serving

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def settings(postgres_url: str, redis_url: str) -> Settings:
    return Settings(database_url=postgres_url, redis_url=redis_url, use_mock=True)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that listens on a free port."""
    async with serving(settings) as client:
        yield client


@pytest.fixture
def serve(settings: Settings) -> Serve:
    """Another API over the same servers, with some settings of its own."""

    @asynccontextmanager
    async def other(**changes: object) -> AsyncIterator[httpx.AsyncClient]:
        async with serving(settings.model_copy(update=changes)) as client:
            yield client

    return other


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[ActingWorker]:
    async with acting_worker(settings) as acting:
        yield acting


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
