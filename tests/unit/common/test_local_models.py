"""Entries of models that we run ourselves."""

from pathlib import Path

import pytest

from common.catalog.load import SHIPPED_PATH, load_catalog
from common.catalog.local import GIB, MIB, LocalModel
from common.errors import ConfigError
from tests.unit.common.catalogs import catalog, settings

SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "defaults: {models: [local-a]}\nmodels:\n"
PLAIN = "source: {path: a.gguf}, engine: llamacpp, memory: 1 GiB"


def local(folder: Path, fields: str) -> LocalModel:
    entry = catalog(folder, f"{HEAD}  local-a: {{{fields}}}\n").resolve("local-a")
    assert isinstance(entry, LocalModel)
    return entry


def test_what_an_entry_leaves_out_is_filled_in(tmp_path: Path) -> None:
    entry = local(tmp_path, PLAIN)
    assert (entry.memory, entry.gpu, entry.ttl, entry.pinned, entry.slots) == (GIB, "none", 300, False, 4)
    assert (entry.local, entry.queue, entry.name) == (True, "local", "a")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("512 MiB", 512 * MIB), ("1.5 GiB", GIB * 3 // 2), ("16 GB", 16 * 10**9), ("100mb", 10**8)],
)
def test_memory_is_a_number_and_a_unit(tmp_path: Path, said: str, meant: int) -> None:
    assert local(tmp_path, f"source: {{path: a}}, engine: vllm, memory: {said}").memory == meant


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ("engine: llamacpp, memory: 1 GiB", ".source: field required"),
        (f"{PLAIN}, gpus: 1", ".gpus: no such field"),
        (f"{PLAIN}, gpu: some", ".gpu"),
        (f"{PLAIN}, gpu: 0", ".gpu"),
        (f"{PLAIN}, ttl: 0", ".ttl: input should be greater than or equal to 1"),
        (f"{PLAIN}, slots: many", ".slots: input should be a valid integer"),
        (f"{PLAIN}, environment: {{ultra_slots: '3'}}", ".environment.ultra_slots: may not be set: ULTRA_* is said by"),
        (f"{PLAIN}, environment: {{CUDA_VISIBLE_DEVICES: '0'}}", ".environment.CUDA_VISIBLE_DEVICES: may not be set"),
        (f"{PLAIN}, environment: {{NVIDIA_VISIBLE_DEVICES: all}}", ".environment.NVIDIA_VISIBLE_DEVICES: may not be"),
        (f"{PLAIN}, environment: {{'A B': '3'}}", ".environment.A B: string should match pattern"),
        (f"{PLAIN}, trust_remote_code: true", ": `trust_remote_code` needs a `repo`, whose `revision` says which code"),
        (f"{PLAIN}, image: 'UPPER CASE'", ".image: string should match pattern"),
        ("source: {path: a}, engine: llamacpp, memory: 1024", ".memory: memory is a number and a unit, MiB, GiB"),
        ("source: {path: a}, engine: llamacpp, memory: 1 TiB", ".memory: memory is a number and a unit, MiB, GiB"),
        ("source: {path: a}, engine: llamacpp, memory: 1 MiB", ".memory: input should be greater than or equal"),
        ("source: {path: a}, engine: tgi, memory: 1 GiB", ".engine: input should be 'llamacpp', 'transformers'"),
        ("source: {path: a}, engine: ollama, memory: 1 GiB", ": `source` has a `tag` with the engines model_"),
        ("source: {tag: a}, engine: vllm, memory: 1 GiB", ": `source` has a `tag` with the engines model_runner, ol"),
        ("source: {}, engine: vllm, memory: 1 GiB", ".source: one of `path`, `package`, `repo` and `tag`"),
        ("source: {path: a, tag: b}, engine: vllm, memory: 1 GiB", ".source: one of `path`, `package`, `repo` and"),
        ("source: {repo: a/b}, engine: vllm, memory: 1 GiB", ".source: `repo` and `revision` (a commit, of 40"),
        ("source: {repo: a/b, revision: main}, engine: vllm, memory: 1 GiB", ".source.revision: string should match"),
        (f"source: {{repo: ../b, revision: {SHA}}}, engine: vllm, memory: 1 GiB", ".source.repo: string should match"),
        (f"source: {{repo: a/b, revision: {SHA}, file: ../x.gguf}}, engine: vllm, memory: 1 GiB", ".source.file: s"),
        (f"source: {{repo: a/b, revision: {SHA}, file: x/../../y.gguf}}, engine: vllm, memory: 1 GiB", ".source: `f"),
        ("source: {path: a, file: b.gguf}, engine: vllm, memory: 1 GiB", ".source: `file` is one of those of `repo`"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_and_field(tmp_path: Path, fields: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        local(tmp_path, fields)
    assert caught.value.message.removeprefix(f"{tmp_path}/").startswith(f"models.yaml:3: models.local-a{complaint}")


def test_a_variable_that_may_not_be_set_is_named_with_its_own_line(tmp_path: Path) -> None:
    lines = "local-a:", f"  {{{PLAIN}, environment: {{", "    HF_TOKEN: x,", "    CUDA_VISIBLE_DEVICES: '0'}}"
    with pytest.raises(ConfigError, match=r"models\.yaml:6: models\.local-a\.environment\.CUDA_VISIBLE_DEVICES: may"):
        catalog(tmp_path, HEAD + "".join(f"  {line}\n" for line in lines))


def test_fields_of_containers_are_for_local_models_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models\.mock-a\.memory: no such field"):
        catalog(tmp_path, "defaults: {models: [mock-a]}\nmodels:\n  mock-a: {memory: 1 GiB}\n")


@pytest.mark.parametrize(
    ("change", "is_replaced"),
    [
        ("ttl: 5", False), ("pinned: true", False), ("parameters: {temperature: 1}", False), ("description: x", False),
        ("gpu: auto", True), ("slots: 2", True), ("dtype: float16", True), ("environment: {A: b}", True),
        ("context_window: 64", True),
    ],
)  # fmt: skip
def test_a_container_is_replaced_when_what_it_is_made_from_changes(
    tmp_path: Path, change: str, is_replaced: bool
) -> None:
    assert (local(tmp_path, PLAIN).spec_hash != local(tmp_path, f"{PLAIN}, {change}").spec_hash) == is_replaced


def test_the_hash_of_an_entry_is_the_same_in_every_process_and_release(tmp_path: Path) -> None:
    """A new field with a default would replace every container of every installation: let that be on purpose."""
    assert local(tmp_path, PLAIN).spec_hash[:16] == "bff75162877eac52"


def test_the_shipped_models_of_containers_are_whole() -> None:
    shipped = load_catalog(settings(ultra_models_path=SHIPPED_PATH))
    models = {entry.id: entry for entry in shipped.entries.values() if isinstance(entry, LocalModel)}
    assert {"local-smollm2", "local-smollm2-transformers", "local-tiny-llama"} <= set(models)
    assert {entry.id for entry in shipped.entries.values() if entry.provider == "local"} == set(models)
    assert shipped.resolve("tiny-llama").id == "local-tiny-llama"
    assert all(entry.source.revision for entry in models.values() if entry.source.repo)
