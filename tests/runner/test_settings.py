"""The environment, and what is found out before a model is loaded."""

from pathlib import Path

import pytest

from runner.engines.gguf_files import gguf_file
from runner.faults import LoadFailed, ModelMissing
from runner.settings import read_settings

LEAST = {"ULTRA_MODEL_ID": "local-x", "ULTRA_MODEL_PATH": "/models/x"}


def test_what_is_set_and_empty_counts_as_not_set() -> None:
    settings = read_settings(LEAST | {"ULTRA_SLOTS": "", "ULTRA_DTYPE": "", "ULTRA_OTHER": "1"})
    assert (settings.slots, settings.dtype, settings.trust_remote_code) == (4, "auto", False)
    assert settings.threads >= 1


def test_a_wrong_value_names_its_variable() -> None:
    with pytest.raises(LoadFailed, match="ULTRA_CONTEXT"):
        read_settings(LEAST | {"ULTRA_CONTEXT": "long"})
    with pytest.raises(LoadFailed, match="ULTRA_MODEL_PATH"):
        read_settings({"ULTRA_MODEL_ID": "local-x"})


def test_a_directory_means_its_only_gguf_file_and_of_a_split_one_the_first_part(tmp_path: Path) -> None:
    for part in (1, 2, 3):
        (tmp_path / f"big-q4-0000{part}-of-00003.gguf").touch()
    assert gguf_file(tmp_path).name == "big-q4-00001-of-00003.gguf"
    (tmp_path / "small.gguf").touch()
    with pytest.raises(ModelMissing, match="several"):
        gguf_file(tmp_path)
    assert gguf_file(tmp_path / "small.gguf").name == "small.gguf"
