import subprocess
import sys
from typing import Any

import genai_prices
import pytest

from common.catalog.entry import ModelEntry, ModelPrice
from common.contracts.calls import Usage
from common.contracts.models import Price
from common.pricing import cost_usd, price_of

OWN = ModelPrice(prompt_usd_per_million=2, completion_usd_per_million=8)


def entry(model_id: str, **fields: Any) -> ModelEntry:
    return ModelEntry.model_validate({"id": model_id, **fields})


def usage(prompt: int, completion: int, cached: int = 0) -> Usage:
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cached_prompt_tokens=cached,
    )


@pytest.mark.parametrize(
    ("model", "spent", "dollars"),
    [
        # $2.50 the million in, $10 out, $1.25 from the cache
        (entry("openai-gpt4o", name="gpt-4o"), usage(1000, 100), (1000 * 2.5 + 100 * 10) / 1e6),
        (entry("openai-gpt4o", name="gpt-4o"), usage(1000, 100, 400), (600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6),
        # $15, $75 and $1.50
        (entry("anthropic-claude-3-opus-20240229"), usage(2000, 500), (2000 * 15 + 500 * 75) / 1e6),
        (entry("anthropic-claude-3-opus-20240229"), usage(2000, 500, 1900), (100 * 15 + 1900 * 1.5 + 500 * 75) / 1e6),
        # $1.25, $10; twice the former and half as much again of the latter from 200,000 prompt tokens
        (entry("google-gemini-2.5-pro"), usage(200_000, 10), (200_000 * 1.25 + 10 * 10) / 1e6),
        (entry("google-gemini-2.5-pro"), usage(200_001, 10), (200_001 * 2.5 + 10 * 15) / 1e6),
        (entry("google-models", name="models/gemini-2.5-pro"), usage(8, 2), (8 * 1.25 + 2 * 10) / 1e6),
    ],
)
def test_a_listed_model_costs_what_its_provider_asks(model: ModelEntry, spent: Usage, dollars: float) -> None:
    assert cost_usd(model, spent) == pytest.approx(dollars, rel=1e-12)


def test_a_price_of_the_catalog_file_comes_first() -> None:
    for model_id in ("openai-gpt-4o", "docker_modelrunner-smollm2", "mock-a", "somewhere-else"):
        priced = entry(model_id, price=OWN.model_dump())
        assert cost_usd(priced, usage(1000, 100)) == (1000 * 2 + 100 * 8) / 1e6
        assert cost_usd(priced, None) is None
        assert price_of(priced) == Price(prompt_usd_per_million=2, completion_usd_per_million=8)


@pytest.mark.parametrize("model_id", ["docker_modelrunner-smollm2", "ollama-llama3.1", "local-tiny-llama", "mock-a"])
def test_what_runs_on_our_own_machines_costs_nothing(model_id: str) -> None:
    assert cost_usd(entry(model_id), usage(1000, 100)) == 0
    assert cost_usd(entry(model_id), None) == 0
    assert price_of(entry(model_id)) == Price(prompt_usd_per_million=0, completion_usd_per_million=0)


@pytest.mark.parametrize(
    "model",
    [
        entry("openai-gpt-of-tomorrow"),
        entry("openai-whisper-1"),  # listed, by the hour and not by the token
        entry("groq-llama-3.1-8b-instant"),  # a server of the file's, which the list knows by the same name
    ],
    ids=lambda model: model.id,
)
def test_an_unknown_price_is_never_nothing(model: ModelEntry) -> None:
    assert cost_usd(model, usage(1000, 100)) is None
    assert price_of(model) is None


def test_without_usage_a_cloud_models_cost_is_unknown() -> None:
    assert cost_usd(entry("openai-gpt-4o"), None) is None


@pytest.mark.parametrize("spent", [usage(-1, 5), usage(5, -1), usage(10, 0, -3), usage(10**30, 10**30)])
def test_counts_that_make_no_sense_cost_nobody_an_answer(spent: Usage) -> None:
    cost = cost_usd(entry("openai-gpt-4o"), spent)
    assert cost is not None
    assert cost > 0


def test_more_cached_tokens_than_there_were_are_those_there_were() -> None:
    model = entry("openai-gpt-4o")
    assert cost_usd(model, usage(100, 0, 500)) == cost_usd(model, usage(100, 0, 100)) == 100 * 1.25 / 1e6


def test_a_price_in_steps_is_shown_by_its_first() -> None:
    assert price_of(entry("google-gemini-2.5-pro")) == Price(prompt_usd_per_million=1.25, completion_usd_per_million=10)


def test_a_model_that_writes_nothing_has_a_price_for_prompts_alone() -> None:
    embedding = price_of(entry("openai-text-embedding-3-small"))
    assert embedding == Price(prompt_usd_per_million=0.02, completion_usd_per_million=0)


def test_the_list_is_never_fetched() -> None:
    found = genai_prices.calc_price(genai_prices.Usage(input_tokens=1), "gpt-4o", provider_id="openai")
    assert cost_usd(entry("openai-gpt-4o"), usage(1, 0)) == float(found.total_price)
    assert found.auto_update_timestamp is None


def test_the_list_is_read_only_when_a_price_of_it_is_asked_for() -> None:
    look = (
        "import sys; from common.pricing import cost_usd; from common.catalog.entry import ModelEntry;"
        "assert cost_usd(ModelEntry.model_validate({'id': 'mock-a'}), None) == 0;"
        "assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)
