from datetime import UTC, datetime
from typing import Any

import pytest

from worker.lifecycle.container import container_of, memory_of
from worker.lifecycle.docker_engine import split_image


def inspected(status: str, **state: Any) -> dict[str, Any]:
    """As engine 20.10 writes it."""
    return {
        "Id": "c0ffee",
        "Name": "/ultra-1",
        "Created": "2026-11-21T10:00:00.123456789Z",
        "Config": {"Labels": {"ultra.model": "local-x"}},
        "State": {
            "Status": status,
            "StartedAt": "2026-11-21T10:00:01Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            "ExitCode": 0,
            "OOMKilled": False,
            "Error": "",
        }
        | state,
        "NetworkSettings": {
            "Networks": {"models": {"IPAddress": "172.18.0.2"}, "left": {"IPAddress": ""}},
            "Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}], "9000/tcp": None},
        },
    }


def test_a_running_container_has_an_address_and_no_exit_code() -> None:
    container = container_of(inspected("running"))
    assert (container.id, container.name, container.status) == ("c0ffee", "ultra-1", "running")
    assert container.created_at == datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
    assert container.addresses == {"models": "172.18.0.2"}
    assert container.loopback_ports == {8000: 32768}
    assert container.exit_code is None


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("created", "created"),
        ("running", "running"),
        ("paused", "running"),
        ("exited", "exited"),
        ("dead", "exited"),
        ("removing", "exited"),
    ],
)
def test_dockers_seven_words_are_three_of_ours(said: str, status: str) -> None:
    assert container_of(inspected(said)).status == status


def test_a_container_that_could_not_be_started_has_ended() -> None:
    """Docker leaves it `created`, and would be asked to start it for ever."""
    container = container_of(inspected("created", Error="could not select device driver", ExitCode=128))
    assert (container.status, container.exit_code) == ("exited", 128)


def test_a_container_that_ended_says_how() -> None:
    container = container_of(inspected("exited", ExitCode=137, OOMKilled=True))
    assert (container.exit_code, container.is_oom_killed) == (137, True)


def test_files_that_can_be_read_again_are_no_memory_in_use() -> None:
    assert memory_of({"memory_stats": {"usage": 100, "stats": {"total_inactive_file": 40, "inactive_file": 10}}}) == 60
    assert memory_of({"memory_stats": {"usage": 100, "stats": {"inactive_file": 30}}}) == 70
    assert memory_of({"memory_stats": {}}) is None


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("runner", ("runner", "latest")),
        ("runner:1", ("runner", "1")),
        ("host:5000/a/runner", ("host:5000/a/runner", "latest")),
        ("host:5000/a/runner:1", ("host:5000/a/runner", "1")),
        ("runner@sha256:ab", ("runner", "sha256:ab")),
        ("runner:1@sha256:ab", ("runner", "sha256:ab")),
    ],
)
def test_an_image_is_asked_for_by_one_reference(image: str, parts: tuple[str, str]) -> None:
    assert split_image(image) == parts
