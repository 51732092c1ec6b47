import asyncio
from pathlib import Path
from typing import Any

import pytest

from common.contracts.calls import Call, Parameters
from common.contracts.messages import ImagePart, Message, TextPart, Tool
from common.errors import NotServed, Unsupported
from common.providers.registry import Providers
from tests.unit.common.catalogs import catalog, settings

MODELS = """\
    defaults: {models: [mock-a]}
    models:
      mock-a: {parameters: {extra: {tokens: 3}}}
      openai-gpt4o: {name: gpt-4o, parameters: {extra: {top_p: 1}}}
      docker_modelrunner-sober:
        name: ai/small
        system: Be brief.
        parameters: {temperature: 0.2, max_tokens: 100, extra: {top_k: 5}}
      openai-plain: {}
      openai-odd:
        capabilities: [chat, json_schema]
        quirks: {system: first_user, drop: [temperature, seed], rename: {max_tokens: max_completion_tokens},
                 thinking_tokens: 100}
      box-any: {capabilities: [chat, tools, vision]}
    servers:
      box: {base_url: http://127.0.0.1:9/v1/, local: true}
      paid: {base_url: https://example.test/v1, api_key_env: ULTRA_TEST_KEY}
"""
ASK = Message(role="user", content="Why?")
SCHEMA = {"type": "object"}


def providers(folder: Path, **given: Any) -> Providers:
    models = catalog(folder, MODELS)
    return Providers(settings(**given), lambda: models)


def request(folder: Path, model: str, *messages: Message, parameters: Parameters | None = None, **given: Any) -> Any:
    call = Call(model=model, messages=messages or (ASK,), parameters=parameters or Parameters(), schema=SCHEMA)
    made = providers(folder, **given)
    return made.request_for(catalog(folder, MODELS).resolve(model), call)


def test_what_a_call_leaves_open_comes_from_the_entry_and_then_from_the_settings(tmp_path: Path) -> None:
    asked = request(tmp_path, "docker_modelrunner-sober", local_model_timeout=2500)
    assert (asked.model, asked.temperature, asked.max_tokens) == ("ai/small", 0.2, 100)
    assert asked.extra == {"top_k": 5}
    assert asked.timeout_seconds == 2.5


def test_what_a_call_says_goes_before_the_entry(tmp_path: Path) -> None:
    said = Parameters(temperature=0, max_tokens=7, timeout_seconds=3)
    asked = request(tmp_path, "docker_modelrunner-sober", parameters=said)
    assert (asked.temperature, asked.max_tokens, asked.timeout_seconds) == (0, 7, 3)


def test_a_cloud_model_has_the_cloud_s_deadline(tmp_path: Path) -> None:
    assert request(tmp_path, "openai-gpt4o", ultra_call_timeout_seconds=33).timeout_seconds == 33


def test_the_entry_s_system_prompt_comes_first_and_in_one_message(tmp_path: Path) -> None:
    alone = request(tmp_path, "docker_modelrunner-sober")
    assert alone.messages == (Message(role="system", content="Be brief."), ASK)
    joined = request(tmp_path, "docker_modelrunner-sober", Message(role="system", content="Rhyme."), ASK)
    assert joined.messages == (Message(role="system", content="Be brief.\n\nRhyme."), ASK)


def test_only_servers_that_can_be_held_to_a_schema_are_told_it(tmp_path: Path) -> None:
    assert request(tmp_path, "docker_modelrunner-sober").schema == SCHEMA
    assert request(tmp_path, "openai-plain").schema is None


def test_under_use_mock_every_model_is_a_mock_by_its_own_id(tmp_path: Path) -> None:
    asked = request(tmp_path, "openai-gpt4o", use_mock=True)
    assert (asked.model, asked.extra, asked.schema) == ("openai-gpt4o", {}, SCHEMA)
    assert request(tmp_path, "mock-a", use_mock=True).extra == {"tokens": 3}


@pytest.mark.parametrize(
    ("model", "given", "is_available"),
    [
        ("mock-a", {}, True),
        ("docker_modelrunner-sober", {}, True),
        ("docker_modelrunner-sober", {"enable_model_runner": False}, False),
        ("openai-gpt4o", {}, False),
        ("openai-gpt4o", {"use_mock": True}, True),
    ],
)
async def test_a_model_is_served_exactly_where_it_is_called_available(
    tmp_path: Path, model: str, given: dict[str, Any], is_available: bool
) -> None:
    made, entry = providers(tmp_path, **given), catalog(tmp_path, MODELS).resolve(model)
    said, reason = made.availability(entry)
    assert said is is_available
    assert (reason is None) is is_available
    if is_available:
        assert await made.get(entry) is await made.get(entry)
    else:
        with pytest.raises(NotServed) as caught:
            await made.get(entry)
        assert not caught.value.is_retryable
        assert not caught.value.is_retryable
    await made.close()


def test_a_model_s_quirks_are_heeded(tmp_path: Path) -> None:
    system, image = Message(role="system", content="Be brief."), ImagePart(url="https://example.test/a.png")
    said = Parameters(temperature=0.5, top_p=0.5, seed=7, max_tokens=9)
    asked = request(tmp_path, "openai-odd", system, ASK, parameters=said)
    assert (asked.temperature, asked.seed, asked.top_p, asked.max_tokens) == (None, None, 0.5, 109)
    assert asked.renamed == {"max_tokens": "max_completion_tokens"}
    assert [(message.role, message.text) for message in asked.messages] == [("user", "Be brief.\n\nWhy?")]
    pictured = Message(role="user", content=(TextPart(text="What is this?"), image))
    made = providers(tmp_path, use_mock=False)
    entry = catalog(tmp_path, MODELS).resolve("openai-odd").model_copy(update={"capabilities": ("chat", "vision")})
    asked = made.request_for(entry, Call(model="openai-odd", messages=(system, pictured)))
    assert asked.messages[0].content == (TextPart(text="Be brief."), *pictured.content)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"tools": (Tool(name="clock"),)}, "openai-plain takes no tools"),
        (
            {"messages": (Message(role="user", content=(ImagePart(url="https://example.test/a.png"),)),)},
            "openai-plain takes no images",
        ),
    ],
)
def test_what_the_catalog_says_a_model_cannot_do_is_not_asked_of_it(
    tmp_path: Path, asked: dict[str, Any], complaint: str
) -> None:
    call = Call(model="openai-plain", **{"messages": (ASK,), **asked})
    entry = catalog(tmp_path, MODELS).resolve("openai-plain")
    with pytest.raises(Unsupported, match=complaint):
        providers(tmp_path).request_for(entry, call)


async def test_a_server_of_the_file_is_a_provider_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, models = providers(tmp_path), catalog(tmp_path, MODELS)
    box = models.resolve("box-any")
    assert (box.local, box.queue, made.base_url("box")) == (True, "local", "http://127.0.0.1:9/v1")
    assert (await made.get(box)).name == "box"
    await made.close()
    paid = box.model_copy(update={"provider": "paid"})
    assert made.availability(paid) == (False, "ULTRA_TEST_KEY is not set, or is no key.")
    monkeypatch.setenv("ULTRA_TEST_KEY", "sk-secret")
    assert made.availability(paid) == (True, None)


def test_names_of_the_model_runner_are_listed_beside_the_file_s(tmp_path: Path) -> None:
    listed = catalog(tmp_path, MODELS, available_local_models="phi3:mini, docker_modelrunner-sober,").entries
    assert "docker_modelrunner-phi3:mini" in listed
    assert listed["docker_modelrunner-sober"].name == "ai/small"


async def test_a_command_that_cannot_be_held_to_a_schema_is_not_told_it(tmp_path: Path) -> None:
    call = Call(model="docker_modelrunner-sober", messages=(ASK,), schema=SCHEMA)
    entry = catalog(tmp_path, MODELS).resolve(call.model)
    for kind, schema in (("api", SCHEMA), ("cli", None)):
        made = providers(tmp_path, model_runner_type=kind)
        provider, asked = await made.prepare(entry, call)
        assert (provider.name, asked.schema) == ("docker_modelrunner", schema)
        await made.close()


async def test_calls_that_ask_a_fresh_process_at_once_share_one_adapter(tmp_path: Path) -> None:
    made, entry = providers(tmp_path), catalog(tmp_path, MODELS).resolve("box-any")
    first, *others = await asyncio.gather(*(made.get(entry) for _ in range(50)))
    assert all(other is first for other in others)
    await made.close()


async def test_an_adapter_is_made_though_whoever_asked_first_went_away(tmp_path: Path) -> None:
    made, entry = providers(tmp_path), catalog(tmp_path, MODELS).resolve("box-any")
    first, second = (asyncio.create_task(made.get(entry)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).name == "box"
    await made.close()
