from pathlib import Path

import pytest

from common.catalog.load import load_catalog
from common.errors import ModelNotFound
from common.providers.mock import Behaviour
from tests.unit.common.catalogs import catalog, settings

TWO_NAMES = """\
    defaults:
      models: [gpt4, mock-a]
      lead: gpt4
    models:
      openai-gpt4o:
        name: gpt-4o
        aliases: [gpt4]
        capabilities: [chat, json_schema]
      mock-a: {}
      docker_modelrunner-phi3:mini:
        parameters: {temperature: 0.5, extra: {top_p: 0.9}}
"""


def test_an_entry_follows_from_its_id_where_it_says_nothing(tmp_path: Path) -> None:
    entry = catalog(tmp_path, TWO_NAMES).resolve("docker_modelrunner-phi3:mini")
    assert (entry.provider, entry.name, entry.local, entry.queue) == (
        "docker_modelrunner",
        "phi3:mini",
        True,
        "local",
    )
    assert entry.can("json_schema")
    assert entry.parameters.extra == {"top_p": 0.9}


def test_what_an_entry_says_goes_before_what_its_id_implies(tmp_path: Path) -> None:
    entry = catalog(tmp_path, TWO_NAMES).resolve("openai-gpt4o")
    assert (entry.name, entry.local, entry.queue) == ("gpt-4o", False, "cloud")


def test_aliases_and_ids_lead_to_the_same_entry(tmp_path: Path) -> None:
    models = catalog(tmp_path, TWO_NAMES)
    assert models.resolve("gpt4") is models.resolve("openai-gpt4o")
    assert models.aliases_of("openai-gpt4o") == ("gpt4",)


def test_defaults_may_be_given_as_aliases_and_come_out_as_ids(tmp_path: Path) -> None:
    models = catalog(tmp_path, TWO_NAMES)
    assert models.default_models == ("openai-gpt4o", "mock-a")
    assert models.default_lead == "openai-gpt4o"


def test_model_mapping_adds_aliases_and_moves_those_of_the_file(tmp_path: Path) -> None:
    mapping = {"gpt4": "mock-a", "llama": "docker_modelrunner-llama3:8b"}
    models = catalog(tmp_path, TWO_NAMES, model_mapping=mapping)
    assert models.resolve("gpt4").id == "mock-a"
    assert models.resolve("llama").name == "llama3:8b"
    assert models.aliases_of("openai-gpt4o") == ()
    assert models.aliases_of("mock-a") == ("gpt4",)


def test_available_local_models_are_in_the_catalog_and_keep_what_the_file_says_of_them(tmp_path: Path) -> None:
    models = catalog(tmp_path, TWO_NAMES, available_local_models="qwen, docker_modelrunner-phi3:mini,")
    assert list(models.entries)[2:] == ["docker_modelrunner-phi3:mini", "docker_modelrunner-qwen"]
    assert models.resolve("docker_modelrunner-phi3:mini").parameters.temperature == 0.5


def test_a_model_is_as_local_as_its_server_unless_its_entry_says_otherwise(tmp_path: Path) -> None:
    text = """\
        servers:
          here: {base_url: "http://127.0.0.1:1", local: true}
          away: {base_url: "http://127.0.0.1:2"}
        defaults: {models: [here-a]}
        models: {here-a: , here-b: {local: false}, away-a: }
    """
    assert [entry.local for entry in catalog(tmp_path, text).entries.values()] == [True, False, False]


@pytest.mark.parametrize("model_id", ["docker_modelrunner-phi3:mini", "docker_modelrunner-ai/gemma@2", "mock-anything"])
def test_servers_that_take_any_name_need_no_entry(tmp_path: Path, model_id: str) -> None:
    entry = catalog(tmp_path).resolve(model_id)
    assert entry.id == model_id
    assert entry.provider == model_id.partition("-")[0]


@pytest.mark.parametrize("name", ["openai-gpt5", "mock-", "docker_modelrunner-", "mock-nul\x00", "mock- ", "", "mock"])
def test_a_name_that_nothing_serves_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound):
        catalog(tmp_path).resolve(name)


@pytest.mark.parametrize(("mistyped", "meant"), [("GPT5", "gpt4"), ("opena-gpt4o", "openai-gpt4o")])
def test_a_mistyped_name_is_answered_with_the_nearest(tmp_path: Path, mistyped: str, meant: str) -> None:
    with pytest.raises(ModelNotFound, match=rf"Did you mean .*\b{meant}\b"):
        catalog(tmp_path, TWO_NAMES).resolve(mistyped)


def test_the_shipped_file_has_what_the_specification_names() -> None:
    shipped = load_catalog(settings())
    assert shipped.resolve("gpt4").id == "openai-gpt4o"
    assert shipped.resolve("claude").id == "anthropic-claude-3-opus"
    assert shipped.default_models == ("docker_modelrunner-smollm2", "docker_modelrunner-smollm2-creative")


def test_the_shipped_mocks_order_what_a_mock_understands() -> None:
    for entry in load_catalog(settings()).entries.values():
        if entry.provider == "mock":
            Behaviour.model_validate(entry.parameters.extra)
