"""A whole stack for the commands that speak HTTP, with mock models only."""

from collections.abc import Iterator

import pytest

from cli.embedded.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data_dir = tmp_path_factory.mktemp("stack") / "data"
    with Stack(data_dir, only=("postgres", "valkey", "ultra"), environment={"USE_MOCK": "true"}) as running:
        yield running
