"""What docker-compose.yml promises, read from the file; tests/compose/run.sh runs it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import Settings

COMPOSE = yaml.safe_load((Path(__file__).resolve().parents[3] / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# They do one thing, and end before others start.
ONE_SHOTS = {"migrate", "weights", "runner-image"}
OURS = sorted(name for name, service in SERVICES.items() if service.get("image", "").startswith("${ULTRA_IMAGE"))


def started_by(*profiles: str) -> set[str]:
    return {
        name for name, service in SERVICES.items() if set(service.get("profiles", profiles)) <= set(profiles)
    } - ONE_SHOTS


def test_every_setting_is_handed_on() -> None:
    settings = {name.upper() for name in Settings.model_fields}

    # The port is what the API is published at, and no container has a file of yours.
    assert settings - set(COMPOSE["x-settings"]) == {"ULTRA_PORT", "ULTRA_MODELS_PATH"}


def test_without_a_profile_there_is_all_that_an_analysis_needs() -> None:
    assert started_by() == {"backend", "worker", "flower", "postgres", "redis"}


@pytest.mark.parametrize("addition", ["model-runner", "frontend"])
def test_a_profile_of_the_specification_adds_its_service(addition: str) -> None:
    assert started_by(f"with-{addition}") - started_by() == {addition}


def test_the_worker_profile_adds_hands_to_the_worker_that_is_always_there() -> None:
    assert started_by("with-worker") - started_by() == {"cloud-worker"}


def test_the_gpu_profile_adds_a_worker_that_reads_which_gpu_it_is_pinned_to() -> None:
    assert started_by("with-gpu") - started_by() == {"gpu-worker"}
    assert "GPU_DEVICE" in SERVICES["gpu-worker"]["command"][-1]
    [devices] = SERVICES["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == {"driver": "nvidia", "count": "all", "capabilities": ["gpu", "utility"]}


def test_the_lifecycle_profile_adds_the_worker_that_looks_after_models() -> None:
    assert started_by("with-lifecycle") - started_by() == {"lifecycle"}


def test_docker_s_socket_is_given_to_the_lifecycle_worker_alone() -> None:
    assert [name for name, service in SERVICES.items() if "docker.sock" in str(service.get("volumes"))] == ["lifecycle"]
    assert "ports" not in SERVICES["lifecycle"]


def test_containers_of_models_are_reached_by_those_who_ask_them_on_a_network_without_a_way_out() -> None:
    assert COMPOSE["networks"]["fleet"]["internal"] is True
    on_it = {name for name, service in SERVICES.items() if "fleet" in service.get("networks", [])}
    assert on_it == {"backend", "worker", "cloud-worker", "gpu-worker", "lifecycle"}


def test_the_api_is_reached_by_the_network_of_people_alone() -> None:
    command = SERVICES["backend"]["command"]
    hosts = [value for option, value in pairwise(command) if option == "--host"]
    on_it = {name for name, service in SERVICES.items() if "front" in service.get("networks", [])}

    assert hosts == ["127.0.0.1", *SERVICES["backend"]["networks"]["front"]["aliases"]]
    assert on_it == {"backend", "flower", "frontend"}
    # Docker publishes ports on the first, by name, of the networks with a way out.
    ways_out = [
        name for name in SERVICES["backend"]["networks"] if not (COMPOSE["networks"][name] or {}).get("internal")
    ]
    assert min(ways_out) == "front"


def test_the_lifecycle_worker_is_told_the_names_that_compose_gives() -> None:
    settings, project = COMPOSE["x-settings"], "${COMPOSE_PROJECT_NAME:-ultrallm}"

    assert COMPOSE["name"] == "ultrallm"
    # Neither has a name of its own in the file, so each gets the project's before it.
    assert not COMPOSE["networks"]["fleet"].get("name")
    assert COMPOSE["volumes"]["weights"] is None
    assert settings["ULTRA_MODEL_NETWORK"] == f"{project}_fleet"
    assert settings["ULTRA_WEIGHTS_VOLUME"] == f"${{ULTRA_WEIGHTS_VOLUME:-{project}_weights}}"
    for name in ("lifecycle", "weights"):
        assert f"${{ULTRA_WEIGHTS_VOLUME:-weights}}:{settings['ULTRA_WEIGHTS_PATH']}" in SERVICES[name]["volumes"]


def test_nothing_is_published_beyond_loopback_unless_asked() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith(("127.0.0.1:", "${ULTRA_HOST:-127.0.0.1}:")) for port in published)


def test_database_and_broker_are_on_a_network_without_a_way_out() -> None:
    assert COMPOSE["networks"]["back"]["internal"] is True
    for name in ("postgres", "redis"):
        assert SERVICES[name]["networks"] == ["back"]
        assert "ports" not in SERVICES[name]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_nothing_and_gain_nothing(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOTS))
def test_a_service_that_stays_says_whether_it_is_well(name: str) -> None:
    assert "healthcheck" in SERVICES[name] or name == "frontend"  # Open WebUI's image brings its own


def test_any_service_of_ours_can_be_scaled() -> None:
    assert not [name for name in OURS if "container_name" in SERVICES[name]]
