"""A wrong catalog stops the start with the file, the line and the field."""

from pathlib import Path

import pytest

from common.catalog.load import load_catalog
from common.errors import ConfigError
from tests.unit.common.catalogs import MODEST, catalog, settings

HEAD = """\
    defaults:
      models: [mock-a]
    models:
      mock-a:
        aliases: [first]
"""


def fault(folder: Path, text: str) -> str:
    """The message, without the folder."""
    with pytest.raises(ConfigError) as caught:
        catalog(folder, text)
    return caught.value.message.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("mock-b: {temprature: 1}", "6: models.mock-b.temprature: no such field"),
        (
            "mock-b: {parameters: {temperature: hot}}",
            "6: models.mock-b.parameters.temperature: input should be a valid number",
        ),
        (
            "mock-b:\n        capabilities:\n        - chat\n        - dance",
            "9: models.mock-b.capabilities.1: input should be",
        ),
        ("mock-b: {provider: openai}", "6: models.mock-b.provider: not a field: the id above says it"),
        ("mock-b: {aliases: [first]}", "6: models.mock-b.aliases.0: 'first' is an alias of mock-a already"),
        ("mock-b:\n        aliases:\n        - mock-a", "8: models.mock-b.aliases.0: 'mock-a' is a model's id"),
        ("mock-b: {aliases: [with space]}", "6: models.mock-b.aliases.0: string should match pattern"),
        ("mock-a: {}", "6: models.mock-a: said before, in line 4"),
        ("acme-b: {}", "6: models.acme-b: an id is PROVIDER-MODEL, PROVIDER one of docker_modelrunner, mock"),
        ("mock: {}", "6: models.mock: an id is PROVIDER-MODEL"),
        ("mock-b: {fallbacks: [mock-a, gtp4]}", "6: models.mock-b.fallbacks.1: No model 'gtp4'."),
        ("mock-b: {fallbacks: {rate_limited: [mock-b]}}", "6: models.mock-b.fallbacks.rate_limited.0: a model cannot"),
        ("mock-b: {fallbacks: {tired: [mock-a]}}", "6: models.mock-b.fallbacks.tired"),
        ("mock-b: {quirks: {drop: [courage]}}", "6: models.mock-b.quirks.drop.0: input should be 'temperature'"),
        ("mock-b: {price: {prompt_usd_per_million: -1}}", "6: models.mock-b.price.prompt_usd_per_million: "),
        ("groq-b: {}", "6: models.groq-b: an id is PROVIDER-MODEL"),
        ("mock-b: 7", "6: models.mock-b: input should be a valid dictionary"),
        ("mock-b: {aliases: [", "7: "),
    ],
)
def test_a_fault_in_an_entry_is_named_with_its_line_and_field(tmp_path: Path, entry: str, complaint: str) -> None:
    assert fault(tmp_path, f"{HEAD}      {entry}\n").startswith(f"models.yaml:{complaint}")


def test_a_default_that_is_no_model_is_named(tmp_path: Path) -> None:
    text = "defaults:\n  models:\n  - mock-a\n  - gtp4\nmodels:\n  openai-gpt4o: {aliases: [gpt4]}\n"
    assert fault(tmp_path, text) == "models.yaml:4: defaults.models.1: No model 'gtp4'. Did you mean gpt4?"


def test_a_missing_part_is_named_with_the_line_of_what_lacks_it(tmp_path: Path) -> None:
    assert fault(tmp_path, "defaults: {}\nmodels: {mock-a: {}}\n").startswith(
        "models.yaml:1: defaults.models: field req"
    )


@pytest.mark.parametrize("text", ["", "- mock-a\n", "mock-a\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    assert fault(tmp_path, text) == "models.yaml:1: holds `defaults` and `models`, and nothing else"


def test_what_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    assert fault(tmp_path, "defaults:\n  models: [mock-a]\nmodels: {mock-a: ]\n").startswith("models.yaml:3: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load_catalog(settings(ultra_models_path=tmp_path / "absent.yaml"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_bytes(b"\xff\xfe\x00models")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_catalog(settings(ultra_models_path=path))


@pytest.mark.parametrize(
    ("servers", "complaint"),
    [
        ("{openai: {base_url: 'http://x'}}", "1: servers.openai: a name of small letters"),
        ("{my-box: {base_url: 'http://x'}}", "1: servers.my-box: a name of small letters"),
        ("{box: {base_url: 'ftp://x'}}", "1: servers.box.base_url: URL scheme should be"),
        ("{box: {base_url: 'http://x', api_key: sk-1}}", "1: servers.box.api_key: no such field"),
    ],
)
def test_a_fault_in_a_server_is_named(tmp_path: Path, servers: str, complaint: str) -> None:
    text = f"servers: {servers}\ndefaults: {{models: [mock-a]}}\nmodels: {{mock-a: {{}}}}\n"
    assert fault(tmp_path, text).startswith(f"models.yaml:{complaint}")


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ({"gpt4": "openai-gpt5"}, "MODEL_MAPPING: 'gpt4' names 'openai-gpt5', which is neither in the catalog"),
        ({"mock-a": "mock-b"}, "MODEL_MAPPING: 'mock-a' is a model's id"),
        ({"g\x00": "mock-a"}, "MODEL_MAPPING: 'g\\\\x00' is no name"),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, mapping: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        catalog(tmp_path, MODEST, model_mapping=mapping)


def test_a_name_of_the_model_runner_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AVAILABLE_LOCAL_MODELS: 'two words' is no name"):
        catalog(tmp_path, MODEST, available_local_models="phi3:mini, two words")
