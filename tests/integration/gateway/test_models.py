"""`/v1/models`: what can be asked for."""

import httpx

from tests.contract.scripted_server import ScriptedServer
from tests.integration.gateway.talking import error_of
from tests.openai_schema import check


async def test_the_catalog_is_listed_and_nobody_is_asked_for_it(api: httpx.AsyncClient, server: ScriptedServer) -> None:
    listed = (await api.get("/v1/models")).json()
    check("ListModelsResponse", listed)
    assert {"scripted-good", "mock-a"} <= {model["id"] for model in listed["data"]}
    assert not server.exchanges


async def test_every_listed_model_is_found_again_by_its_id(api: httpx.AsyncClient) -> None:
    for model in (await api.get("/v1/models")).json()["data"]:
        assert (await api.get(f"/v1/models/{model['id']}")).json() == model


async def test_ids_may_have_slashes_and_colons_and_aliases_lead_to_their_model(api: httpx.AsyncClient) -> None:
    for path, model_id in {
        "docker_modelrunner-hf.co/org/model:7b": "docker_modelrunner-hf.co/org/model:7b",
        "docker_modelrunner-hf.co%2Forg%2Fmodel%3A7b": "docker_modelrunner-hf.co/org/model:7b",
        "good": "scripted-good",
    }.items():
        model = (await api.get(f"/v1/models/{path}")).json()
        check("Model", model)
        assert model["id"] == model_id


async def test_an_unknown_model_is_told_with_what_comes_near(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/models/scripted-god")
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "scripted-good" in error["message"]
