import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine

from common.contracts.limits import Limits
from common.database import keys
from common.database.connect import connect
from common.ids import uuid7
from common.settings import Settings
from tests.contract.scripted_server import API_KEY, ScriptedServer
from tests.integration.api.serving import serving
from tests.integration.gateway.keys import Headers, KeyOf
from tests.integration.gateway.upstreams import upstream


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that we serve on: its transports are not quite asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with upstream().running() as running:
        yield running


@pytest.fixture
async def spare() -> AsyncIterator[ScriptedServer]:
    """Another server, for models that stand in for those of the first."""
    async with upstream().running() as running:
        yield running


@pytest.fixture
def models() -> dict[str, Any]:
    """Entries of the catalog beside the usual ones; a test adds its own."""
    return {}


@pytest.fixture
def settings(
    postgres_url: str,
    redis_url: str,
    server: ScriptedServer,
    spare: ScriptedServer,
    models: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    monkeypatch.setenv("SCRIPTED_KEY", API_KEY)
    # On a busy machine it is neither away nor asleep: else keys are counted from nothing, and failures not at all.
    monkeypatch.setattr("common.admission.shared.REDIS_SECONDS", 60.0)
    monkeypatch.setattr("common.stalls.STALL_SECONDS", 60.0)
    catalog = {
        "servers": {
            "scripted": {"base_url": server.url, "api_key_env": "SCRIPTED_KEY"},
            "spare": {"base_url": spare.url, "local": True},
        },
        "defaults": {"models": ["scripted-good"]},
        "models": {
            "scripted-good": {"aliases": ["good"], "capabilities": ["chat", "tools", "vision", "embeddings"]},
            "spare-good": {},
            "mock-a": {},
            "mock-flaky": {"parameters": {"extra": {"error": "unavailable", "fail_attempts": 1}}},
            **models,
        },
    }
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(catalog))
    return Settings(database_url=postgres_url, redis_url=redis_url, ultra_models_path=path)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = connect(settings.database_url.get_secret_value(), pool_size=1)
    yield engine
    await engine.dispose()


@pytest.fixture
def key_of(engine: AsyncEngine) -> KeyOf:
    """Makes a key with these limits: its header."""

    async def made(*, scopes: Sequence[str] = ("submit", "read"), **limits: Any) -> Headers:
        key = keys.generate()
        async with engine.connect() as connection:
            await connection.execute(keys.create(uuid7(), "test", key, list(scopes), Limits(**limits)))
        return {"Authorization": f"Bearer {key}"}

    return made
