from datetime import UTC, datetime
from typing import Any

import pytest

from common.fleet.contracts import Reservation
from worker.lifecycle.container import Container
from worker.lifecycle.docker_streams import LogLine
from worker.lifecycle.observing import base_url_of, fault_of_end, instance_of, is_instance

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LABELS = {
    "ultra.model": "local-x",
    "ultra.generation": "7",
    "ultra.spec": "spec",
    "ultra.node": "node-1",
    "ultra.host_bytes": "1024",
    "ultra.gpu_bytes": "2048",
    "ultra.gpus": "GPU-a,GPU-b",
}


def container(**said: Any) -> Container:
    fields: dict[str, Any] = {
        "id": "c0ffee",
        "name": "ultra-1-local-x-7",
        "labels": LABELS,
        "status": "exited",
        "created_at": NOW,
        "started_at": NOW,
        "exit_code": 1,
        "is_oom_killed": False,
        "error": "",
        "addresses": {"net": "172.18.0.2"},
        "loopback_ports": {8000: 32768},
    }
    return Container(**fields | said)


def wrote(*lines: str) -> list[LogLine]:
    return [LogLine("stderr", "at", line) for line in lines]


def test_a_container_tells_what_it_was_made_for_though_nobody_remembers() -> None:
    instance = instance_of(container(status="running"))
    assert (instance.model, instance.generation, instance.spec, instance.node) == ("local-x", 7, "spec", "node-1")
    assert instance.reserved == Reservation(1024, 2048, ("GPU-a", "GPU-b"))


def test_what_pulls_weights_is_no_instance() -> None:
    assert is_instance(container())
    assert not is_instance(container(labels={"ultra.installation": "any"}))


@pytest.mark.parametrize(
    ("reach", "url"),
    [
        ("name", "http://ultra-1-local-x-7:8000"),
        ("address", "http://172.18.0.2:8000"),
        ("published", "http://127.0.0.1:32768"),
    ],
)
def test_a_running_container_is_reached_as_its_site_has_it(reach: Any, url: str) -> None:
    assert base_url_of(container(status="running"), reach) == url
    assert base_url_of(container(), reach) is None
    assert base_url_of(container(status="running", addresses={}, loopback_ports={}), reach) in {url, None}


def test_a_runner_says_itself_why_it_ends() -> None:
    said = wrote("loading", '{"fatal": "model_missing", "message": "There is no /models/x."}')
    fault = fault_of_end(container(exit_code=3), said)
    assert (fault.code, fault.message, fault.is_fatal) == ("model_missing", "There is no /models/x.", True)


def test_a_program_that_says_nothing_useful_is_quoted() -> None:
    fault = fault_of_end(container(exit_code=2), wrote("", "Traceback", "{not json", "ValueError: no"))
    assert fault.code == "crashed"
    assert not fault.is_fatal
    assert fault.message.endswith("Traceback / {not json / ValueError: no")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"is_oom_killed": True, "exit_code": 137}, "out_of_memory"),
        ({"exit_code": 137}, "killed"),
        ({"exit_code": 4}, "out_of_memory"),
        ({"status": "exited", "error": "could not select device driver", "exit_code": 128}, "cannot_start"),
    ],
)
def test_an_end_has_a_code_for_programs(said: dict[str, Any], code: str) -> None:
    fault = fault_of_end(container(**said), [])
    assert fault.code == code
    assert fault.message


def test_last_words_are_bounded() -> None:
    assert len(fault_of_end(container(), wrote("x" * 100_000)).message) <= 1000
