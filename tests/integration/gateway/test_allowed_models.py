"""Keys that may ask some models only: what they are shown, and who of a council answers them."""

from typing import Any

import httpx
import pytest

from common.settings import Settings
from tests.contract.scripted_server import ScriptedServer
from tests.integration.api.serving import serving
from tests.integration.gateway.keys import KeyOf
from tests.integration.gateway.talking import chat, chunks_of, error_of


@pytest.fixture
def models() -> dict[str, Any]:
    return {"mock-lead": {}, "ollama-llama3.1": {}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a council of two, and a lead that is none of them."""
    assert settings.ultra_models_path is not None
    catalog = settings.ultra_models_path.read_text()
    council = "defaults:\n  lead: mock-lead\n  models:\n  - scripted-good\n  - mock-a"
    settings.ultra_models_path.write_text(catalog.replace("defaults:\n  models:\n  - scripted-good", council))
    return settings


async def ids_shown(api: httpx.AsyncClient, key: dict[str, str]) -> set[str]:
    return {model["id"] for model in (await api.get("/v1/models", headers=key)).json()["data"]}


async def test_a_key_is_shown_the_models_that_it_may_ask(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(models=frozenset({"mock-a"}))
    assert await ids_shown(api, key) == {"mock-a", "ultra-compare", "ultra-best"}
    assert await ids_shown(api, await key_of(models=frozenset({"ollama-llama3.1"}))) == {
        "ollama-llama3.1",
        "ivy-orchestrator",
    }
    assert {"scripted-good", "ivy-orchestrator"} < await ids_shown(api, await key_of())


async def test_what_is_shown_can_be_retrieved_and_nothing_else(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(models=frozenset({"mock-a"}))
    for name in await ids_shown(api, key):
        assert (await api.get(f"/v1/models/{name}", headers=key)).status_code == 200
    for name in ("scripted-good", "good", "ivy-orchestrator"):
        refused = await api.get(f"/v1/models/{name}", headers=key)
        assert (refused.status_code, error_of(refused)["code"]) == (403, "model_not_found")


async def test_a_list_survives_a_model_that_the_catalog_lost(settings: Settings, key_of: KeyOf) -> None:
    async with serving(settings.model_copy(update={"llm_provider": "claude"})) as api:  # there is no such alias here
        assert "mock-a" in await ids_shown(api, await key_of(models=frozenset({"mock-a"})))


@pytest.mark.parametrize("name", ["ultra-compare", "ultra-best"])
async def test_a_council_has_the_members_that_the_key_may_ask(
    api: httpx.AsyncClient, key_of: KeyOf, server: ScriptedServer, name: str
) -> None:
    answer = await chat(api, name, headers=await key_of(models=frozenset({"mock-a"})))
    assert answer.status_code == 200, answer.text
    assert [member["model"] for member in answer.json()["ultra"]["members"]] == ["mock-a"]
    assert not server.exchanges


async def test_a_member_leads_where_the_key_may_not_ask_the_lead(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(models=frozenset({"scripted-good", "mock-a"}))
    response = await chat(api, "ultra-compare", headers=key, stream=True)
    assert response.status_code == 200, response.text
    assert {chunk["model"] for chunk in chunks_of(response.text)} & {"mock-lead"} == set()
    assert response.headers["x-ultra-served-by"] == "scripted-good"


@pytest.mark.parametrize("name", ["ultra-compare", "ultra-best", "ivy-orchestrator"])
async def test_where_no_model_is_left_the_key_is_told(api: httpx.AsyncClient, key_of: KeyOf, name: str) -> None:
    refused = await chat(api, name, headers=await key_of(models=frozenset({"spare-good"})))
    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (403, "model_not_found")
    assert name in error["message"]
    assert ("ollama-llama3.1" if name == "ivy-orchestrator" else "scripted-good, mock-a") in error["message"]
