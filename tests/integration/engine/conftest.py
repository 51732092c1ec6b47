from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.database.connect import connect
from tests.integration.engine.stack import Desk, Workers, workers


@pytest.fixture
async def desk(postgres_url: str, redis_url: str) -> AsyncIterator[Desk]:
    engine = connect(postgres_url)
    yield Desk(engine, redis_url)
    await engine.dispose()


@pytest.fixture
def team(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workers]:
    with workers(postgres_url, redis_url, tmp_path) as running:
        yield running
