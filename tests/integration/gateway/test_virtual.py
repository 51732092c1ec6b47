"""Names behind which there are others: a council, and the orchestrator of the specification with its documents."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import orjson
import pytest
import yaml

from common.settings import Settings
from tests.contract.scripted_server import ScriptedServer
from tests.contract.troubles import Trouble
from tests.integration.api.serving import serving
from tests.integration.gateway.keys import KeyOf
from tests.integration.gateway.talking import HELLO, chat, chunks_of, error_of, text_of
from tests.integration.gateway.upstreams import TEXT
from tests.openai_schema import check_chat

PATIENCE_SECONDS = 60.0
# More than a test waits, so that it is never the agent's time that ends.
QUERY_SECONDS = 600.0


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As everywhere, with a council of three whose second member fails, and an agent that may take its time."""
    monkeypatch.setattr("api.gateway.knowledge.QUERY_SECONDS", QUERY_SECONDS)
    with changed(settings) as catalog:
        catalog["defaults"]["models"] += ["mock-broken", "mock-a"]
        catalog["models"]["mock-broken"] = {"parameters": {"extra": {"error": "bad_upstream"}}}
        catalog["models"]["scripted-good"]["aliases"].append("claude")
    return settings


@contextmanager
def changed(settings: Settings) -> Iterator[dict[str, Any]]:
    """The catalog's file, to be changed inside."""
    assert settings.ultra_models_path is not None
    catalog = yaml.safe_load(settings.ultra_models_path.read_text())
    yield catalog
    settings.ultra_models_path.write_text(yaml.safe_dump(catalog))


async def test_the_council_answers_with_what_its_members_come_to(api: httpx.AsyncClient) -> None:
    answer = (await chat(api, "ultra-compare")).json()
    check_chat({name: value for name, value in answer.items() if name != "ultra"})
    assert answer["choices"][0]["message"]["content"] == TEXT
    members = {member["model"]: member for member in answer["ultra"]["members"]}
    assert members["scripted-good"]["text"] == TEXT
    assert members["mock-broken"]["status"] == "failed"
    assert members["mock-a"]["status"] == "completed"


async def test_the_council_streams_and_tells_of_its_members_at_the_end(api: httpx.AsyncClient) -> None:
    response = await chat(api, "ultra-compare", stream=True)
    chunks = chunks_of(response.text)
    assert text_of(chunks) == TEXT
    assert chunks[-1]["choices"] == []
    assert len(chunks[-1]["ultra"]["members"]) == 3


async def test_the_best_answer_is_given_as_it_was_said(api: httpx.AsyncClient) -> None:
    answer = (await chat(api, "ultra-best")).json()
    said = {member["model"]: member["text"] for member in answer["ultra"]["members"]}
    assert answer["choices"][0]["message"]["content"] == said[answer["ultra"]["chosen"]]
    streamed = chunks_of((await chat(api, "ultra-best", stream=True)).text)
    assert text_of(streamed) == said[streamed[-1]["ultra"]["chosen"]]


@pytest.mark.parametrize("name", ["ultra-compare", "ultra-best"])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_the_council_says_what_it_took(
    api: httpx.AsyncClient, key_of: KeyOf, name: str, is_streamed: bool
) -> None:
    key = await key_of(requests_per_minute=10)
    started = time.perf_counter()
    answer = await chat(api, name, headers=key, stream=is_streamed)
    milliseconds = (time.perf_counter() - started) * 1000
    assert answer.headers["x-ultra-attempts"] == "4"  # three members and the lead
    assert answer.headers["x-ultra-served-by"] in {"scripted-good", "mock-a"}
    assert 0 <= float(answer.headers["x-ultra-overhead-ms"]) <= milliseconds
    assert answer.headers["x-ratelimit-remaining-requests"] == "6"


async def test_where_no_member_answers_the_client_is_told_what_the_first_one_met(settings: Settings) -> None:
    with changed(settings) as catalog:
        catalog["models"]["mock-denied"] = {"parameters": {"extra": {"error": "rate_limited"}}}
        catalog["defaults"]["models"] = ["mock-denied", "mock-broken"]
    async with serving(settings) as api:
        for name in ("ultra-compare", "ultra-best"):
            refused = await chat(api, name)
            assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
            assert refused.headers["retry-after"]
            assert refused.headers["x-ultra-attempts"] == "2"


async def test_a_council_over_its_key_s_limit_is_told_so(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(requests_per_minute=4)
    assert (await chat(api, "ultra-compare", headers=key)).status_code == 200
    refused = await chat(api, "ultra-compare", headers=key)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_client_that_leaves_a_council_leaves_every_member(settings: Settings, server: ScriptedServer) -> None:
    with changed(settings) as catalog:
        members = [f"scripted-{trouble}" for trouble in (Trouble.NO_RESPONSE, Trouble.STALL)]
        catalog["models"] |= {member: {} for member in members}
        catalog["defaults"]["models"] = members
    async with serving(settings) as api, asyncio.timeout(PATIENCE_SECONDS):
        asking = asyncio.create_task(chat(api, "ultra-compare"))
        while len(server.exchanges) < len(members):  # noqa: ASYNC110  # both, in whatever order
            await asyncio.sleep(0.01)
        asking.cancel()
        for exchange in server.exchanges:
            await exchange.client_left.wait()
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_council_is_not_asked_for_what_one_model_does(api: httpx.AsyncClient) -> None:
    error = error_of(await chat(api, "ultra-compare", n=2))
    assert error["param"] == "n"


async def test_the_virtual_models_are_listed(api: httpx.AsyncClient) -> None:
    listed = {model["id"]: model["owned_by"] for model in (await api.get("/v1/models")).json()["data"]}
    assert listed["ivy-orchestrator"] == "ivy"
    assert listed["ultra-compare"] == listed["ultra-best"] == "ultra"
    assert (await api.get("/v1/models/ivy-orchestrator")).json()["object"] == "model"


class Agent:
    """A knowledge agent: answers by what it was told to, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line[16:] for line in head.split("\r\n") if line.startswith("content-length:"))
        self.asked.append(orjson.loads(await reader.readexactly(int(length))))
        body = orjson.dumps(self.answer)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await writer.drain()
        writer.close()


DOCUMENTS = {"documents": [{"id": "d", "text": "Wings.", "score": 0.85424, "source": "ECSS", "page_index": 45}]}


@asynccontextmanager
async def ivy(settings: Settings, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An API whose `claude` is the scripted model, and whose agent is at the URL."""
    async with serving(settings.model_copy(update={"llm_provider": "claude", "knowledge_agent_url": url})) as api:
        yield api


async def test_documents_are_put_before_the_question(settings: Settings, server: ScriptedServer) -> None:
    agent = Agent(DOCUMENTS)
    async with agent.running() as url, ivy(settings, url) as api:
        response = await chat(api, "ivy-orchestrator")
    assert response.status_code == 200, response.text
    assert response.headers["x-ultra-knowledge"] == "used"
    assert agent.asked == [{"query": HELLO[0]["content"], "limit": 5}]
    sent = server.exchanges[-1].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
    assert "[Document 1 - ECSS Page 45]:\n(Score: 0.8542)\nWings." in sent[0]["content"]


async def test_a_client_that_leaves_while_the_agent_is_asked_asks_no_model(
    settings: Settings, server: ScriptedServer
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        while await reader.read(1024):
            pass
        left.set()
        writer.close()

    agent = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with agent, ivy(settings, f"http://127.0.0.1:{agent.sockets[0].getsockname()[1]}") as api:
        asking = asyncio.create_task(chat(api, "ivy-orchestrator"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asked.wait()
            asking.cancel()
            await left.wait()
        await asyncio.gather(asking, return_exceptions=True)
    assert not server.exchanges


@pytest.mark.parametrize("url", ["http://127.0.0.1:9"])
async def test_a_chat_goes_on_without_an_agent_that_is_away(settings: Settings, url: str) -> None:
    async with ivy(settings, url) as api:
        response = await chat(api, "ivy-orchestrator")
    assert response.status_code == 200, response.text
    assert response.headers["x-ultra-knowledge"] == "unavailable"
