"""What docker-compose.yml promises, read from the file; tests/compose/run.sh runs it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import Settings

COMPOSE = yaml.safe_load((Path(__file__).resolve().parents[3] / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service.get("image", "").startswith("${ULTRA_IMAGE"))


def started_by(*profiles: str) -> set[str]:
    return {name for name, service in SERVICES.items() if set(service.get("profiles", profiles)) <= set(profiles)} - {
        "migrate"
    }


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


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_a_service_that_stays_says_whether_it_is_well(name: str) -> None:
    assert "healthcheck" in SERVICES[name] or name == "frontend"  # Open WebUI's image brings its own


def test_any_service_of_ours_can_be_scaled() -> None:
    assert not [name for name in OURS if "container_name" in SERVICES[name]]
