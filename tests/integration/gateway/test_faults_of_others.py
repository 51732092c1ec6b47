"""Faults that servers of others are scripted with, llmock's and aimock's, as clients of each interface hear of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from llmock.testing import LLMockServer

from common.settings import Settings
from tests.contract.llmock_server import LlmockSubject
from tests.contract.ollama_servers import RunningServer, aimock
from tests.contract.scripted_server import API_KEY
from tests.contract.subjects_anthropic import AnthropicSubject
from tests.contract.subjects_google import GoogleSubject
from tests.contract.subjects_ollama import AimockSubject
from tests.contract.subjects_openai import OpenAISubject
from tests.contract.troubles import HALFWAY, SILENT, Trouble
from tests.integration.api.serving import serving
from tests.integration.gateway.verdicts import INTERFACES, STATUSES, Heard, Interface, heard

SILENCE_MILLISECONDS = 300
PATIENCE_SECONDS = 20.0

# What an adapter keeps of a server's status is the class of the error.
TRANSLATED = STATUSES | {Trouble.SERVER_ERROR: (503, "unavailable"), Trouble.OVERLOADED: (503, "unavailable")}
# llmock says OpenAI's errors with codes of its own, and a server's own code is what its clients know.
OF_LLMOCK = STATUSES | {
    Trouble.SERVER_ERROR: (500, "internal_error"),
    Trouble.OVERLOADED: (529, "overloaded"),
    Trouble.AWAY: (503, "service_unavailable"),
    Trouble.NO_SUCH_MODEL: (404, "not_found"),
}
# Adapters have every answer streamed to them; passed through, a whole one is whole or is not there at all.
STREAMED_ONLY = HALFWAY | {Trouble.SLOW_FIRST_TOKEN}


@dataclass(frozen=True)
class FarEnd:
    """A server of others: what leads to it, what it cannot do, and what its clients are to hear."""

    provider: str
    settings: Mapping[str, Any]
    subject: LlmockSubject | AimockSubject
    expected: Mapping[Trouble, tuple[int, str]]
    streamed_only: frozenset[Trouble] = frozenset()
    halfway: frozenset[Trouble] = HALFWAY
    """What it may do after the first token."""

    @property
    def troubles(self) -> list[Trouble]:
        return [trouble for trouble in Trouble if trouble not in self.subject.cannot]


@pytest.fixture(scope="session")
def aimock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with aimock(tmp_path_factory.mktemp("aimock")) as server:
        yield server


@pytest.fixture
def llmock_as_openai(llmock_server: LLMockServer) -> FarEnd:
    subject = OpenAISubject(llmock_server)
    settings = {"openai_base_url": subject.llmock.base_url("openai"), "openai_api_key": API_KEY}
    return FarEnd("openai", settings, subject, OF_LLMOCK, STREAMED_ONLY)


@pytest.fixture
def llmock_as_anthropic(llmock_server: LLMockServer) -> FarEnd:
    subject = AnthropicSubject(llmock_server)
    settings = {"anthropic_base_url": subject.llmock.base_url("anthropic"), "anthropic_api_key": API_KEY}
    # it refuses at the end of an answer
    return FarEnd("anthropic", settings, subject, TRANSLATED, halfway=HALFWAY | {Trouble.REFUSED})


@pytest.fixture
def llmock_as_google(llmock_server: LLMockServer) -> FarEnd:
    subject = GoogleSubject(llmock_server)
    settings = {"google_base_url": subject.llmock.base_url("gemini"), "google_api_key": API_KEY}
    return FarEnd("google", settings, subject, TRANSLATED)


@pytest.fixture
def aimock_as_ollama(aimock_server: RunningServer) -> FarEnd:
    return FarEnd("ollama", {"ollama_base_url": aimock_server.url}, AimockSubject(aimock_server), TRANSLATED)


@pytest.fixture
def aimock_as_openai(aimock_server: RunningServer) -> FarEnd:
    # it delays streams alone
    streamed_only = STREAMED_ONLY | {Trouble.NO_RESPONSE}
    settings = {"model_runner_url": f"{aimock_server.url}/v1"}
    return FarEnd("docker_modelrunner", settings, AimockSubject(aimock_server), STATUSES, streamed_only)


@pytest.fixture(
    params=["llmock_as_openai", "llmock_as_anthropic", "llmock_as_google", "aimock_as_ollama", "aimock_as_openai"]
)
async def far_end(request: pytest.FixtureRequest) -> AsyncIterator[FarEnd]:
    end: FarEnd = request.getfixturevalue(request.param)
    yield end
    await end.subject.provider.close()


@pytest.fixture
def models(far_end: FarEnd) -> dict[str, Any]:
    """A model for each trouble. Who falls silent is local, as that is timed by a setting that tests may shorten."""
    return {f"{far_end.provider}-{trouble}": {"local": trouble in SILENT} for trouble in Trouble}


@pytest.fixture
async def api(settings: Settings, far_end: FarEnd) -> AsyncIterator[httpx.AsyncClient]:
    given = settings.model_dump(exclude_unset=True)
    async with serving(Settings(**given, **far_end.settings, local_model_timeout=SILENCE_MILLISECONDS)) as client:
        yield client


@pytest.mark.parametrize("interface", INTERFACES)
async def test_a_stream_has_its_fault_for_a_status_or_for_its_last_word(
    api: httpx.AsyncClient, far_end: FarEnd, interface: str
) -> None:
    spoken = INTERFACES[interface]
    faults = await faults_of(api, far_end, spoken, far_end.troubles, is_streamed=True)
    for trouble, fault in faults.items():
        status, code = far_end.expected[trouble]
        assert fault.name == spoken.name(status, code), trouble
        assert fault.status == status or (fault.status == 200 and trouble in far_end.halfway), trouble
    assert faults[Trouble.DISCONNECT].status == 200  # its words come some time before it


@pytest.mark.parametrize("interface", INTERFACES)
async def test_a_whole_answer_that_is_none_has_its_fault_for_a_status(
    api: httpx.AsyncClient, far_end: FarEnd, interface: str
) -> None:
    spoken = INTERFACES[interface]
    troubles = [trouble for trouble in far_end.troubles if trouble not in far_end.streamed_only]
    for trouble, fault in (await faults_of(api, far_end, spoken, troubles, is_streamed=False)).items():
        status, code = far_end.expected[trouble]
        assert (fault.status, fault.name) == (status, spoken.name(status, code)), trouble


async def faults_of(
    api: httpx.AsyncClient, far_end: FarEnd, interface: Interface, troubles: list[Trouble], *, is_streamed: bool
) -> dict[Trouble, Heard]:
    """What is heard of each trouble, all at once. Fails if one hangs, ends well, or shows a key."""
    asking = (heard(api, interface, f"{far_end.provider}-{trouble}", is_streamed=is_streamed) for trouble in troubles)
    async with asyncio.timeout(PATIENCE_SECONDS):
        faults = dict(zip(troubles, await asyncio.gather(*asking), strict=True))
    assert [trouble for trouble, fault in faults.items() if fault is None or API_KEY in fault.message] == []
    return {trouble: fault for trouble, fault in faults.items() if fault is not None}
