"""One suite for every adapter. `subject` is each of them; `troubled` each whose server can be told to fail.

A new adapter brings a subject of its own (`subjects_NAME.py`), a fixture here that opens it, and the
fixture's name in the lists below; the tests stay as they are.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from llmock.testing import LLMockServer

from common.providers.ollama import Ollama
from tests.contract.llmock_server import LlmockSubject
from tests.contract.ollama_servers import RunningServer, aimock, ollama_proxy
from tests.contract.scripted_ollama import ScriptedOllama
from tests.contract.scripted_server import ScriptedServer
from tests.contract.subjects import (
    MockSubject,
    ModelRunnerSubject,
    ScriptedSubject,
    Subject,
    Troubled,
    openai_compatible,
)
from tests.contract.subjects_anthropic import AnthropicSubject
from tests.contract.subjects_google import GoogleSubject
from tests.contract.subjects_model_runner_cli import ModelRunnerCliSubject
from tests.contract.subjects_ollama import AimockSubject, OllamaProxySubject, ScriptedOllamaSubject
from tests.contract.subjects_openai import OpenAISubject
from tests.fake_docker import FakeDocker

TROUBLED = ["mock", "scripted", "openai", "anthropic", "google", "ollama", "ollama_aimock", "model_runner_cli"]
SUBJECTS = [*TROUBLED, "model_runner", "ollama_real"]
LLMOCKED = ["openai", "anthropic", "google"]
# A process a call is no connection, and takes longer.
CONNECTED = [name for name in TROUBLED if name != "model_runner_cli"]


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=TROUBLED)
def troubled(request: pytest.FixtureRequest) -> Troubled:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=CONNECTED)
def connected(request: pytest.FixtureRequest) -> Troubled:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=LLMOCKED)
def llmocked(request: pytest.FixtureRequest) -> LlmockSubject:
    return request.getfixturevalue(request.param)


@pytest.fixture
def mock() -> MockSubject:
    return MockSubject()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedSubject]:
    async with ScriptedServer().running() as server:
        provider = openai_compatible(server.url)
        yield ScriptedSubject(server, provider)
        await provider.close()


# `llmock_server` is llmock's own fixture: one server for the session, on a port and in a thread of its own.
# Its fixture `llmock` is not used here: that one sets the variables that SDKs read.
@pytest.fixture
async def openai(llmock_server: LLMockServer) -> AsyncIterator[OpenAISubject]:
    subject = OpenAISubject(llmock_server)
    yield subject
    await subject.provider.close()


@pytest.fixture
async def anthropic(llmock_server: LLMockServer) -> AsyncIterator[AnthropicSubject]:
    subject = AnthropicSubject(llmock_server)
    yield subject
    await subject.provider.close()


@pytest.fixture
async def google(llmock_server: LLMockServer) -> AsyncIterator[GoogleSubject]:
    subject = GoogleSubject(llmock_server)
    yield subject
    await subject.provider.close()


@pytest.fixture
async def model_runner(model_runner_url: str) -> AsyncIterator[ModelRunnerSubject]:
    provider = openai_compatible(model_runner_url)
    yield ModelRunnerSubject(model_runner_url, provider)
    await provider.close()


@pytest.fixture
def model_runner_cli(tmp_path: Path) -> ModelRunnerCliSubject:
    return ModelRunnerCliSubject(FakeDocker(tmp_path))


@pytest.fixture
async def ollama() -> AsyncIterator[ScriptedOllamaSubject]:
    async with ScriptedOllama().running() as server:
        provider = Ollama(server.url)
        yield ScriptedOllamaSubject(server, provider)
        await provider.close()


@pytest.fixture(scope="session")
def aimock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with aimock(tmp_path_factory.mktemp("aimock")) as server:
        yield server


@pytest.fixture
async def ollama_aimock(aimock_server: RunningServer) -> AsyncIterator[AimockSubject]:
    subject = AimockSubject(aimock_server)
    yield subject
    await subject.provider.close()


@pytest.fixture(scope="session")
def ollama_proxy_server(model_runner_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with ollama_proxy(model_runner_url, tmp_path_factory.mktemp("ollama-proxy")) as server:
        yield server


@pytest.fixture
async def ollama_real(model_runner_url: str, ollama_proxy_server: RunningServer) -> AsyncIterator[OllamaProxySubject]:
    subject = OllamaProxySubject(model_runner_url, ollama_proxy_server)
    yield subject
    await subject.provider.close()


@pytest.fixture
async def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the loop's clock forward by so many seconds: deadlines come when it is their turn, and nobody waits."""
    loop = asyncio.get_running_loop()
    now, ahead_seconds = loop.time, 0.0

    def pass_seconds(seconds: float) -> None:
        nonlocal ahead_seconds
        ahead_seconds += seconds

    monkeypatch.setattr(loop, "time", lambda: now() + ahead_seconds)
    return pass_seconds


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """What is not closed warns when it is collected, and a warning fails the test that left it."""
    gc.freeze()  # what was there before need not be looked through: half a second a test
    yield
    gc.collect()
    gc.unfreeze()
