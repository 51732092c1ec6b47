import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.catalog.local import GIB, LocalModel
from common.fleet.contracts import Reservation
from worker.lifecycle.planning.effects import Create
from worker.lifecycle.template import (
    Mount,
    Reach,
    Site,
    Weights,
    container_config,
    container_name,
    network_config,
    puller_config,
    slug,
)

INSTALLATION = UUID("0198f000-0000-7000-8000-000000000001")
WEIGHTS = Weights(Mount("bind", "/srv/weights/x", "/models/x"), "/models/x/model.gguf")


def entry(**fields: Any) -> LocalModel:
    said = {"id": "local-x", "source": {"path": "x"}, "engine": "llamacpp", "memory": "1 GiB"}
    return LocalModel.model_validate(said | fields)


def rendered(
    model: LocalModel | None = None, *, gpus: tuple[str, ...] = (), reach: Reach = "address"
) -> dict[str, Any]:
    create = Create("local-x", 7, "spec", Reservation(GIB, GIB if gpus else 0, gpus))
    return container_config(model or entry(), create, WEIGHTS, Site(INSTALLATION, "node-1", "net", reach))


def variables(config: dict[str, Any]) -> dict[str, str]:
    return dict(variable.split("=", 1) for variable in config["Env"])


def test_a_container_may_do_nothing_that_a_model_does_not_need() -> None:
    config = rendered()
    host = config["HostConfig"]
    assert config["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] >= GIB
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["Mounts"] == [{"Type": "bind", "Source": "/srv/weights/x", "Target": "/models/x", "ReadOnly": True}]
    assert list(host["Tmpfs"]) == ["/tmp"]
    assert not {"Binds", "Devices", "CapAdd", "PidMode", "IpcMode", "UsernsMode", "VolumesFrom"} & set(host)


def test_what_a_restarted_worker_has_to_know_stands_in_labels() -> None:
    assert rendered(gpus=("GPU-a", "GPU-b"))["Labels"] == {
        "ultra.installation": str(INSTALLATION),
        "ultra.node": "node-1",
        "ultra.model": "local-x",
        "ultra.generation": "7",
        "ultra.spec": "spec",
        "ultra.host_bytes": str(GIB),
        "ultra.gpu_bytes": str(GIB),
        "ultra.gpus": "GPU-a,GPU-b",
    }


def test_gpus_are_named_by_uuid_and_nowhere_else() -> None:
    config = rendered(gpus=("GPU-a",))
    assert config["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-a"], "Capabilities": [["gpu"]]}
    ]
    assert not {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"} & set(variables(config))


def test_without_a_gpu_of_its_own_a_container_sees_none() -> None:
    config = rendered()
    assert "DeviceRequests" not in config["HostConfig"]
    assert variables(config)["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_a_container_is_told_what_its_entry_says_and_what_the_worker_says() -> None:
    environment = {"HF_HOME": "/tmp/hf"}
    said = variables(rendered(entry(environment=environment, slots=3, context_window=512, max_waiting=5, cpus=1.5)))
    assert said["HF_HOME"] == "/tmp/hf"
    ours = {name: value for name, value in said.items() if name.startswith("ULTRA_")}
    assert ours == {
        "ULTRA_MODEL_ID": "local-x",
        "ULTRA_MODEL_PATH": "/models/x/model.gguf",
        "ULTRA_ENGINE": "llamacpp",
        "ULTRA_CONTEXT": "512",
        "ULTRA_SLOTS": "3",
        "ULTRA_QUEUE": "5",
        "ULTRA_DTYPE": "auto",
        "ULTRA_TRUST_REMOTE_CODE": "false",
        "ULTRA_THREADS": "2",
    }


def test_only_a_published_container_has_a_port_and_that_on_loopback() -> None:
    assert "PortBindings" not in rendered(reach="address")["HostConfig"]
    assert "PortBindings" not in rendered(reach="name")["HostConfig"]
    published = rendered(reach="published")["HostConfig"]["PortBindings"]
    assert published == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}


@pytest.mark.parametrize("reach", ["name", "address", "published"])
def test_no_network_leads_to_the_internet(reach: Reach) -> None:
    config = network_config(INSTALLATION, reach)
    masquerades = config["Options"].get("com.docker.network.bridge.enable_ip_masquerade", "true") == "true"
    assert config["Internal"] or not masquerades


def test_vllm_is_told_by_its_command() -> None:
    config = rendered(entry(engine="vllm", image="vllm/vllm-openai:v1", gpu=2), gpus=("GPU-a", "GPU-b"))
    assert config["Image"] == "vllm/vllm-openai:v1"
    assert config["Cmd"][:2] == ["--model", "/models/x/model.gguf"]
    assert config["Cmd"][config["Cmd"].index("--tensor-parallel-size") + 1] == "2"
    assert "Cmd" not in rendered()


def test_ollama_has_no_idle_timer_of_its_own_whatever_its_entry_says() -> None:
    model = entry(engine="ollama", source={"tag": "llama3.1"}, environment={"OLLAMA_KEEP_ALIVE": "5m"})
    assert variables(rendered(model))["OLLAMA_KEEP_ALIVE"] == "-1"


def test_what_pulls_weights_is_confined_too_and_alone_has_the_token() -> None:
    source = {"repo": "org/name", "revision": "0" * 40, "file": "x.gguf"}
    model = entry(source=source, environment={"HF_TOKEN": "secret", "OTHER": "1"})
    mount = Mount("bind", "/srv/weights/hub", "/models/hub")
    config = puller_config(model, mount, "/models/hub/rev", "1000:1000", Site(INSTALLATION, "node-1", "net", "address"))
    asked = f"--repo org/name --revision {'0' * 40} --to /models/hub/rev --file x.gguf"
    assert config["Cmd"] == ["pull", *asked.split()]
    assert config["User"] == "1000:1000"
    assert variables(config)["HF_TOKEN"] == "secret"
    assert "HF_TOKEN" not in variables(rendered(model))
    assert variables(rendered(model))["OTHER"] == "1"
    host = config["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["NetworkMode"] != "net"
    assert "ultra.model" not in config["Labels"]


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,190}", fullmatch=True)


@given(NAMES, st.integers(1, 10**9))
def test_a_name_is_a_host_name_whatever_the_model_is_called(name: str, generation: int) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", container_name(INSTALLATION, f"local-{name}", generation))


@given(NAMES, NAMES)
def test_two_models_never_share_a_name(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


def test_a_plain_name_stays_readable() -> None:
    assert container_name(INSTALLATION, "local-smollm2", 3) == "ultra-0198f000-local-smollm2-3"
    assert slug("local-qwen2.5-7b").startswith("local-qwen2-5-7b-")
