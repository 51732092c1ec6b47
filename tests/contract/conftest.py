"""One suite for every adapter. `subject` is each of them; `troubled` each whose server can be told to fail."""

import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.scripted_server import ScriptedServer
from tests.contract.subjects import (
    MockSubject,
    ModelRunnerSubject,
    ScriptedSubject,
    Subject,
    Troubled,
    openai_compatible,
)


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """What is not closed warns when it is collected, and a warning fails the test that left it."""
    yield
    gc.collect()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedSubject]:
    async with ScriptedServer().running() as server:
        provider = openai_compatible(server.url)
        yield ScriptedSubject(server, provider)
        await provider.close()


@pytest.fixture
async def model_runner(model_runner_url: str) -> AsyncIterator[ModelRunnerSubject]:
    provider = openai_compatible(model_runner_url)
    yield ModelRunnerSubject(model_runner_url, provider)
    await provider.close()


@pytest.fixture(params=["mock", "scripted", "model_runner"])
def subject(request: pytest.FixtureRequest) -> Subject:
    return MockSubject() if request.param == "mock" else request.getfixturevalue(request.param)


@pytest.fixture(params=["mock", "scripted"])
def troubled(request: pytest.FixtureRequest) -> Troubled:
    return MockSubject() if request.param == "mock" else request.getfixturevalue(request.param)
