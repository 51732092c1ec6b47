"""Which files of a repository are fetched, and what is said where none can be."""

import pytest

from runner.faults import ModelMissing
from runner.pulling import chosen, pull

FILES = {
    "config.json": 10,
    "model-00001-of-00002.safetensors": 100,
    "model-00002-of-00002.safetensors": 100,
    "pytorch_model.bin": 200,
    "tokenizer.json": 20,
    "modeling_own.py": 5,
    "original/consolidated.safetensors": 200,
    "q4-00001-of-00002.gguf": 50,
    "q4-00002-of-00002.gguf": 50,
    "q8.gguf": 90,
}


def names(file: str | None = None, *, with_code: bool = False) -> set[str]:
    return set(chosen(FILES, "org/model", file, with_code=with_code))


def test_the_safetensors_are_fetched_with_what_belongs_to_them() -> None:
    assert names() == {
        "config.json",
        "tokenizer.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    }


def test_code_is_fetched_only_when_it_is_asked_for() -> None:
    assert names(with_code=True) - names() == {"modeling_own.py"}


def test_a_named_file_is_fetched_alone_and_one_in_parts_whole() -> None:
    assert names("q8.gguf") == {"q8.gguf"}
    assert names("q4-00001-of-00002.gguf") == {"q4-00001-of-00002.gguf", "q4-00002-of-00002.gguf"}


def test_a_repository_without_what_is_wanted_is_refused() -> None:
    with pytest.raises(ModelMissing, match=r"no q5\.gguf"):
        names("q5.gguf")
    with pytest.raises(ModelMissing, match="no safetensors"):
        chosen({"pytorch_model.bin": 1}, "org/model", None, with_code=False)


def test_what_was_pulled_already_is_not_asked_for_again(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(["--repo", "org/model", "--revision", "main", "--to", str(tmp_path)]) == 0
    assert '"already": true' in capsys.readouterr().out
