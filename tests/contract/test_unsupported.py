"""What each provider does not support, to be read here, and that it says so when it is asked.

A server may support less than its adapter, and then answers for itself; the catalog knows of its models.
"""

from dataclasses import replace

import pytest

from common.contracts.messages import ImagePart, Message
from common.contracts.reasoning import Reasoning
from common.errors import Unsupported
from common.providers import making
from common.providers.complete import complete
from common.providers.protocol import EVERYTHING, EmbeddingRequest, Feature, ModelRequest, Provider
from common.settings import Settings
from tests.contract.subjects import QUESTION, ScriptedSubject
from tests.contract.test_images import PNG
from tests.contract.test_tools import WEATHER

UNSUPPORTED: dict[str, set[Feature]] = {
    "mock": set(),
    "openai": set(),
    "anthropic": {"embeddings", "seed"},
    "google": set(),
    "ollama": {"tool_choice"},
    "docker_modelrunner": set(),
    "docker_modelrunner by its command": EVERYTHING - {"list_models"},
}
REFUSALS = [(provider, feature) for provider, lacking in UNSUPPORTED.items() for feature in sorted(lacking)]

PLAIN = ModelRequest("any", QUESTION)
ASKING: dict[Feature, ModelRequest] = {
    "tools": replace(PLAIN, tools=(WEATHER,)),
    "tool_choice": replace(PLAIN, tools=(WEATHER,), tool_choice="required"),
    "json_schema": replace(PLAIN, schema={"type": "object"}),
    "images": replace(PLAIN, messages=(Message(role="user", content=(ImagePart(url=PNG),)),)),
    "seed": replace(PLAIN, seed=7),
    "stop": replace(PLAIN, stop=("end",)),
    "reasoning": replace(PLAIN, reasoning=Reasoning(effort="low")),
}


def made(provider: str, url: str) -> Provider:
    """The adapter as the registry makes it, before a server at `url`."""
    settings = Settings(
        _env_file=None,
        openai_base_url=url,
        openai_api_key="key",
        anthropic_base_url=url,
        anthropic_api_key="key",
        google_base_url=url,
        google_api_key="key",
        ollama_base_url=url,
        model_runner_url=url,
        model_runner_type="cli" if provider.endswith("by its command") else "api",
    )
    return making.make(provider.partition(" ")[0], None, settings)


@pytest.mark.parametrize("provider", UNSUPPORTED)
async def test_a_provider_supports_all_but_what_is_named_here(provider: str) -> None:
    adapter = made(provider, "http://127.0.0.1:9/v1")
    assert EVERYTHING - adapter.features == UNSUPPORTED[provider]
    await adapter.close()


@pytest.mark.parametrize(("provider", "feature"), REFUSALS)
async def test_what_a_provider_does_not_support_it_names_before_a_byte_is_sent(
    provider: str, feature: Feature, scripted: ScriptedSubject
) -> None:
    adapter = made(provider, scripted.server.url)
    with pytest.raises(Unsupported, match=f"does not support .*{_first_missing(adapter, feature)}"):
        await ask_for(adapter, feature)
    assert scripted.server.connections == 0
    await adapter.close()


async def ask_for(adapter: Provider, feature: Feature) -> None:
    match feature:
        case "embeddings":
            await adapter.embed(EmbeddingRequest("any", ("text",)))
        case "list_models":
            await adapter.list_models()
        case _:
            await complete(adapter, ASKING[feature])


def _first_missing(adapter: Provider, feature: Feature) -> str:
    """Who has no tools need not speak of choosing among them."""
    missing = "tools" if feature == "tool_choice" and "tools" not in adapter.features else feature
    return missing.replace("_", " ")
