"""Where a call is made: a matter of who holds the model, and who is there."""

import pytest

from common.catalog.entry import ModelEntry
from common.fleet.contracts import Endpoint
from common.fleet.queues import consumed, gpu_queue, is_gpu_queue, queue_for

CLOUD = ModelEntry.model_validate({"id": "openai-gpt"})
LOCAL = ModelEntry.model_validate({"id": "ollama-llama"})
QUEUES = {"GPU-a": "gpu.node.0", "GPU-b": "gpu.node.1"}


def at(*uuids: str) -> Endpoint:
    return Endpoint("http://127.0.0.1:1", 1, "node", uuids)


@pytest.mark.parametrize(
    ("endpoint", "queue"),
    [
        (None, "local"),
        (at(), "local"),
        (at("GPU-b"), "gpu.node.1"),
        (at("GPU-b", "GPU-a"), "gpu.node.1"),
        (at("GPU-c", "GPU-a"), "gpu.node.0"),
        (at("GPU-c"), "local"),
    ],
)
def test_a_call_goes_to_the_gpu_that_holds_its_model_while_a_worker_is_there(
    endpoint: Endpoint | None, queue: str
) -> None:
    assert queue_for(LOCAL, endpoint, QUEUES) == queue
    assert queue_for(LOCAL, endpoint, {}) == "local"


def test_what_runs_nowhere_of_ours_goes_where_it_always_went() -> None:
    assert queue_for(CLOUD, None, QUEUES) == "cloud"


@pytest.mark.parametrize(
    ("queue", "rung"),
    [("gpu.node.0", "gpu.node.0"), ("gpu.node.7", "local"), ("local", "local"), ("cloud", "cloud")],
)
def test_a_queue_that_nobody_consumes_any_more_is_rung_for_at_local(queue: str, rung: str) -> None:
    assert consumed(queue, QUEUES) == rung


def test_a_gpus_queue_names_its_node_and_its_number() -> None:
    assert gpu_queue("gpu-box.example", 3) == "gpu.gpu-box.example.3"
    assert is_gpu_queue(gpu_queue("n", 0))
    assert not is_gpu_queue("local")
