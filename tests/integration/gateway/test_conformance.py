"""What the gateway answers, against OpenAI's own schemas: passed through, and translated."""

from typing import Any

import httpx
import orjson
import pytest
import yaml

from common.settings import Settings
from tests.contract.scripted_server import ScriptedServer
from tests.integration.gateway.capable import capable
from tests.integration.gateway.talking import chat, stream
from tests.openai_schema import check, check_chat, check_chunks

PARAMETERS = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": PARAMETERS}}
PASSED, TRANSLATED, VECTORS = "scripted-capable", "mock-a", "scripted-vectors"

Document = dict[str, Any]


@pytest.fixture
def models(server: ScriptedServer) -> dict[str, Any]:
    server.scripts["capable"] = capable
    return {PASSED: {"capabilities": ["chat", "tools"]}, VECTORS: {"capabilities": ["embeddings"]}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a council of two."""
    assert settings.ultra_models_path is not None
    catalog = yaml.safe_load(settings.ultra_models_path.read_text())
    catalog["defaults"]["models"] = [PASSED, TRANSLATED]
    settings.ultra_models_path.write_text(yaml.safe_dump(catalog))
    return settings


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (PASSED, {}),
        (PASSED, {"tools": [TOOL]}),
        (PASSED, {"reasoning_effort": "low"}),
        (TRANSLATED, {}),
        (TRANSLATED, {"tools": [TOOL]}),
        (TRANSLATED, {"response_format": SCHEMA}),
        ("ultra-best", {}),
        ("ultra-compare", {}),
    ],
)
async def test_a_chat_whole_and_streamed(api: httpx.AsyncClient, model: str, more: Document) -> None:
    answer = await chat(api, model, **more)
    chunks = await stream(api, model, **more)
    counted = await stream(api, model, **more, stream_options={"include_usage": True})
    check_chat(answer.json())
    check_chunks(chunks)
    check_chunks(counted)
    assert any(chunk.get("usage") for chunk in counted)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (PASSED, {}),
        (PASSED, {"tools": [{"type": "function", "name": "weather", "parameters": PARAMETERS}]}),
        (PASSED, {"reasoning": {"effort": "low", "summary": "auto"}}),
        (TRANSLATED, {"instructions": "Be brief.", "metadata": {"a": "b"}}),
        (TRANSLATED, {"tools": [{"type": "function", "name": "weather", "parameters": PARAMETERS}]}),
    ],
)
async def test_a_response_whole_and_as_every_event_tells_it(api: httpx.AsyncClient, model: str, more: Document) -> None:
    asked = {"model": model, "input": "Tell me a story.", **more}
    whole = await api.post("/v1/responses", json=asked)
    streamed = await api.post("/v1/responses", json={**asked, "stream": True})
    check("Response", whole.json())
    told = [event["response"] for event in events_of(streamed.text) if "response" in event]
    assert [response["status"] for response in told] == ["in_progress", "in_progress", "completed"]
    for response in told:
        # null until it is counted, as OpenAI itself has it; its schema knows of none
        check("Response", {name: value for name, value in response.items() if (name, value) != ("usage", None)})


async def test_vectors(api: httpx.AsyncClient) -> None:
    for model in (VECTORS, TRANSLATED):
        answer = await api.post("/v1/embeddings", json={"model": model, "input": ["One", "Two"]})
        check("CreateEmbeddingResponse", answer.json())


def events_of(text: str) -> list[Document]:
    return [orjson.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]
