"""What differs from engine to engine: the image, its command and its environment. Pure."""

import math

from common.catalog.local import Engine, LocalModel
from common.fleet.contracts import RUNNER_PORT
from common.fleet.engines import RUNNERS, name_in_container

IMAGES: dict[Engine, str] = {
    "transformers": "orchestrar-runner:latest",
    "llamacpp": "orchestrar-runner:llamacpp",
    "vllm": "vllm/vllm-openai:latest",
    "ollama": "ollama/ollama:latest",
    "model_runner": "docker/model-runner:latest",
}


def image_of(entry: LocalModel) -> str:
    return entry.image or IMAGES[entry.engine]


def environment_of(entry: LocalModel, path: str) -> dict[str, str]:
    """What the engine in the image is told; stronger than the entry's own `environment`."""
    if entry.engine == "ollama":
        # One idle timer is enough, and it is ours.
        return {
            "OLLAMA_HOST": f"0.0.0.0:{RUNNER_PORT}",
            "OLLAMA_KEEP_ALIVE": "-1",
            "OLLAMA_MODELS": path,
            "OLLAMA_NUM_PARALLEL": str(entry.slots),
            "OLLAMA_MAX_QUEUE": str(entry.max_waiting),
            "OLLAMA_CONTEXT_LENGTH": str(entry.context_window),
        }
    if entry.engine not in RUNNERS:
        return {}
    said = {
        "ULTRA_MODEL_ID": entry.id,
        "ULTRA_MODEL_PATH": path,
        "ULTRA_ENGINE": entry.engine,
        "ULTRA_CONTEXT": str(entry.context_window),
        "ULTRA_SLOTS": str(entry.slots),
        "ULTRA_QUEUE": str(entry.max_waiting),
        "ULTRA_DTYPE": entry.dtype,
        "ULTRA_TRUST_REMOTE_CODE": str(entry.trust_remote_code).lower(),
    }
    return said if entry.cpus is None else said | {"ULTRA_THREADS": str(math.ceil(entry.cpus))}


def command_of(entry: LocalModel, path: str, gpus: int) -> list[str] | None:
    """What the image's entrypoint is given; None: what the image says."""
    if entry.engine != "vllm":
        return None
    return [
        *("--model", path),
        *("--served-model-name", name_in_container(entry)),
        *("--port", str(RUNNER_PORT)),
        *("--max-model-len", str(entry.context_window)),
        *("--max-num-seqs", str(entry.slots)),
        *("--dtype", entry.dtype),
        *(("--tensor-parallel-size", str(gpus)) if gpus > 1 else ()),
        *(("--trust-remote-code",) if entry.trust_remote_code else ()),
    ]
