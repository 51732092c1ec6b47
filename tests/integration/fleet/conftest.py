from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from common.settings import Settings
from tests.contract.scripted_instance import ScriptedInstance
from tests.integration.api.serving import serving
from tests.integration.fleet.keeper import PATIENCE_SECONDS, ActingKeeper, acting_keeper

MODEL = "local-tiny"
CATALOG = f"""\
defaults: {{models: [mock-a]}}
models:
  mock-a: {{}}
  {MODEL}:
    source: {{path: tiny.gguf}}
    engine: llamacpp
    memory: 1 GiB
    slots: 4
    load_seconds: 90
    aliases: [teeny]
    capabilities: [chat, embeddings]
    environment: {{HF_TOKEN: nobody-s-business}}
  local-other: {{source: {{path: other.gguf}}, engine: llamacpp, memory: 2 GiB, fallbacks: [mock-a]}}
"""


@pytest.fixture
def catalog_path(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(CATALOG)
    return path


@pytest.fixture
def settings(postgres_url: str, redis_url: str, catalog_path: Path) -> Settings:
    return Settings(
        database_url=postgres_url, redis_url=redis_url, ultra_models_path=catalog_path, ultra_heartbeat_seconds=0.1
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        client.timeout = httpx.Timeout(PATIENCE_SECONDS)
        yield client


@pytest.fixture
async def keeper(settings: Settings) -> AsyncIterator[ActingKeeper]:
    async with acting_keeper(settings) as keeper:
        yield keeper


@pytest.fixture
async def container() -> AsyncIterator[ScriptedInstance]:
    """A container of MODEL, of which nobody knows yet."""
    async with ScriptedInstance(MODEL).running() as running:
        yield running
