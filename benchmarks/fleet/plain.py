"""The peer: the same image with the same weights, told the same, by a plain `docker run`."""

import http.client
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from benchmarks.fleet import engine
from benchmarks.fleet.client import Client
from benchmarks.fleet.ours import LOOK_SECONDS, START_SECONDS
from benchmarks.processes import free_port
from common.fleet.contracts import RUNNER_PORT

NETWORK = "ultra-bench-plain"


class Plain:
    """Starts one container at a time; `like` is what the engine knows of a container of ours.

    It has a network of its own, for the engine's default one may be gone: other engines on a machine take it along.
    """

    def __init__(self, like: dict[str, Any]) -> None:
        self._container = ""
        told = [name for name in like["Config"]["Env"] if name.startswith("ULTRA_")]
        mounts = [f"{mount['Source']}:{mount['Target']}:ro" for mount in like["HostConfig"]["Mounts"]]
        self._arguments = [
            *(f"--env={one}" for one in told),
            *(f"--volume={one}" for one in mounts),
            like["Config"]["Image"],
        ]

    def __enter__(self) -> Self:
        engine.docker("network", "create", NETWORK)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        engine.docker("network", "rm", NETWORK)

    def run(self) -> float:
        """Start it; the seconds from the command to a 200 of its `/ready`, which has generated a token by then."""
        port = free_port()
        publish = f"--publish=127.0.0.1:{port}:{RUNNER_PORT}"
        began = time.perf_counter()
        [self._container] = engine.docker("run", "--detach", f"--network={NETWORK}", publish, *self._arguments)
        while not _is_ready(port):
            if time.perf_counter() - began > START_SECONDS:
                raise TimeoutError("the plain container is not ready")
            time.sleep(LOOK_SECONDS)
        return time.perf_counter() - began

    def stop(self) -> None:
        """Remove it; harmless if there is none."""
        if self._container:
            engine.docker("rm", "--force", "--volumes", self._container)
            self._container = ""


def _is_ready(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException), Client("127.0.0.1", port) as client:
        return client.get("/ready").status == 200
    return False
