"""What the gateway refuses by itself, always in OpenAI's envelope."""

from typing import Any

import httpx
import pytest

from common.settings import Settings
from tests.contract.scripted_server import ScriptedServer
from tests.integration.api.serving import serving
from tests.integration.gateway.keys import KeyOf
from tests.integration.gateway.talking import HELLO, chat, error_of
from tests.openai_schema import check

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'{"messages": []}', "model"),
        (b'{"model": 7, "messages": []}', "model"),
        (b'{"model": "good"}', "messages"),
        (b'{"model": "good", "messages": []}', "messages"),
        (b'{"model": "good", "messages": ["hello"]}', "messages[0]"),
        (b'{"model": "good", "messages": [{"role": "user"}], "stream": "yes"}', "stream"),
        (b'{"model": "good", "messages": [{"role": "user"}], "stream": true, "stream_options": 1}', "stream_options"),
        (b'{"model": "good", "messages": [{"role": "user"}], "n": 0}', "n"),
        (b'{"model": "good", "messages": [{"role": "user"}], "tools": ' + b"[" * 300 + b"]" * 300 + b"}", None),
    ],
)
async def test_a_body_that_is_wrong_is_told_what_is_wrong(
    api: httpx.AsyncClient, server: ScriptedServer, body: bytes, param: str | None
) -> None:
    response = await api.post(CHAT, content=body, headers=JSON)
    error = error_of(response)
    check("ErrorResponse", response.json())
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert not server.exchanges


async def test_a_model_that_nobody_knows_is_404(api: httpx.AsyncClient) -> None:
    response = await chat(api, "scripted-god")
    error = error_of(response)
    assert (response.status_code, error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/chat", "/v1/assistants", "/v1/models/"])
async def test_a_path_that_is_none_is_404(api: httpx.AsyncClient, path: str) -> None:
    response = await api.get(path)
    assert (response.status_code, error_of(response)["type"]) == (404, "invalid_request_error")


async def test_a_wrong_method_is_told_the_right_one(api: httpx.AsyncClient) -> None:
    for response, allowed in ((await api.get(CHAT), "POST"), (await api.delete("/v1/models/good"), "GET")):
        assert (response.status_code, response.headers["allow"]) == (405, allowed)
        assert error_of(response)["code"] == "method_not_allowed"


async def test_a_body_that_does_not_say_it_is_json_is_415_so_that_web_pages_stay_out(api: httpx.AsyncClient) -> None:
    response = await api.post(CHAT, content=b'{"model": "good"}', headers={"content-type": "text/plain"})
    assert (response.status_code, error_of(response)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_that_is_too_large_is_413(api: httpx.AsyncClient, is_announced: bool) -> None:
    large = b" " * (1024 * 1024 + 1)

    async def pieces() -> Any:
        yield large

    content = large if is_announced else pieces()
    response = await api.post(CHAT, content=content, headers=JSON)
    assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")


async def test_a_larger_body_is_taken_where_the_setting_says_so(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"ultra_chat_body_mib": 2})) as api:
        messages = [{"role": "user", "content": "x" * 1_500_000}]
        response = await api.post(CHAT, json={"model": "good", "messages": messages})
        assert response.status_code == 200, response.text


async def test_without_a_key_that_is_asked_for_it_is_401_and_with_one_it_is_not(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"ultra_auth": "required"})) as api:
        for response in (await chat(api, "good"), await api.get("/v1/models")):
            assert (response.status_code, error_of(response)["code"]) == (401, "invalid_api_key")
            assert response.headers["www-authenticate"].startswith("Bearer")
        wrong = await chat(api, "good", headers={"authorization": "Bearer nobody"})
        assert wrong.status_code == 401


async def test_a_key_may_do_what_its_scopes_say(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    reader, asker = await key_of(scopes=["read"]), await key_of(scopes=["submit"])
    assert (await api.get("/v1/models", headers=reader)).status_code == 200
    assert (await chat(api, "good", headers=asker)).status_code == 200
    for refused in (await chat(api, "good", headers=reader), await api.get("/v1/models/good", headers=asker)):
        assert (refused.status_code, error_of(refused)["code"]) == (403, "insufficient_permissions")


async def test_a_name_of_somebody_elses_is_421(api: httpx.AsyncClient) -> None:
    response = await chat(api, "good", headers={"host": "evil.example"})
    assert (response.status_code, error_of(response)["code"]) == (421, "misdirected_request")


async def test_a_request_id_is_echoed(api: httpx.AsyncClient) -> None:
    response = await chat(api, "good", headers={"x-request-id": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"


async def test_requests_are_counted_by_route(api: httpx.AsyncClient) -> None:
    await chat(api, "good")
    await api.get("/v1/models/good")
    await api.get("/v1/nope")
    text = (await api.get("/metrics")).text
    assert 'route="/v1/chat/completions",status="200"' in text
    assert 'route="/v1/models/{id}",status="200"' in text
    assert 'route="unmatched",status="404"' in text


async def test_messages_are_not_kept_from_a_server_for_lack_of_content(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    await api.post(CHAT, json={"model": "good", "messages": [{"role": "user", "odd": 1}, *HELLO]})
    assert server.exchanges[0].body["messages"][0] == {"role": "user", "odd": 1}
