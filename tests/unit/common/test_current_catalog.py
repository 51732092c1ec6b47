"""The catalog follows its file and MODEL_MAPPING in `.env`."""

from pathlib import Path

import pytest

from common.catalog.current import current_catalog
from common.errors import ConfigError
from common.settings import Settings
from tests.unit.common.catalogs import MODEST, settings, write


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start as a process would that has its `.env` here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_that_is_added_to_the_file_is_there(here: Path) -> None:
    path = write(here, MODEST)
    catalog = current_catalog(settings(ultra_models_path=path))
    write(here, MODEST + "      openai-gpt4o: {aliases: [gpt4]}\n")
    catalog.look()
    assert catalog.value.resolve("gpt4").id == "openai-gpt4o"


def test_a_broken_edit_is_told_with_file_line_and_field(here: Path) -> None:
    path = write(here, MODEST)
    catalog = current_catalog(settings(ultra_models_path=path))
    write(here, MODEST + "      mock-b: {temprature: 1}\n")
    catalog.look()
    assert catalog.fault == f"{path}:5: models.mock-b.temprature: no such field"
    assert list(catalog.value.entries) == ["mock-a"]


def test_a_mapping_in_the_env_file_is_followed(here: Path) -> None:
    dot_env = here / ".env"
    dot_env.write_text('MODEL_MAPPING={"mine": "mock-a"}\n')
    catalog = current_catalog(Settings(ultra_models_path=write(here, MODEST)))
    assert catalog.value.resolve("mine").id == "mock-a"
    dot_env.write_text('MODEL_MAPPING={"mine": "mock-b"}\n')
    catalog.look()
    assert catalog.value.resolve("mine").id == "mock-b"


def test_the_environment_comes_before_the_env_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MAPPING", '{"mine": "mock-a"}')
    catalog = current_catalog(Settings(ultra_models_path=write(here, MODEST)))
    (here / ".env").write_text('MODEL_MAPPING={"mine": "mock-b"}\n')
    catalog.look()
    assert (catalog.value.resolve("mine").id, catalog.fault) == ("mock-a", None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("MODEL_MAPPING={mine}\n", "Wrong setting: MODEL_MAPPING: must be JSON"),
        ('MODEL_MAPPING={"mine": "gpt5"}\n', "Wrong setting: MODEL_MAPPING: 'mine' names 'gpt5'"),
        ("ULTRA_PORT=high\n", "Wrong setting: ULTRA_PORT"),
    ],
)
def test_a_broken_env_file_changes_nothing_and_is_told(here: Path, text: str, fault: str) -> None:
    catalog = current_catalog(settings(ultra_models_path=write(here, MODEST), model_mapping={"mine": "mock-a"}))
    (here / ".env").write_text(text)
    catalog.look()
    assert catalog.fault is not None
    assert catalog.fault.startswith(fault)
    assert catalog.value.resolve("mine").id == "mock-a"


def test_a_catalog_that_is_wrong_at_the_start_stops_it(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"models\.yaml:1"):
        current_catalog(settings(ultra_models_path=write(here, "models: []\n")))
