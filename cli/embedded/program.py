"""Our own processes as parts: migrations, workers, API."""

import sys
from collections.abc import Mapping

from cli.embedded.part import Part
from cli.embedded.probes import http_ok

ULTRA = (sys.executable, "-P", "-m", "cli")
WORKER_KINDS = ("control", "cloud", "local")
# A worker drains for ULTRA_DRAIN_SECONDS (5) and puts back what is left.
WORKER_STOP_SECONDS = 12.0


def program_parts(
    host: str, port: int, workers: int, servers: frozenset[str], settings: Mapping[str, str]
) -> list[Part]:
    """Migrations as a step, then `workers` of each kind and the API at the same time."""
    migrate = Part(
        name="migrate",
        command=(*ULTRA, "migrate"),
        after=servers & {"postgres"},
        environment=settings,
    )
    after = frozenset({"migrate"}) | servers & {"valkey"}
    crew = [
        Part(
            name=f"{kind}-{number}",
            command=(*ULTRA, "worker", kind, "--name", f"up-{number}"),
            probe=_runs,
            after=after,
            stage=3,
            environment=settings,
            stop_seconds=WORKER_STOP_SECONDS,
        )
        for kind in WORKER_KINDS
        for number in range(1, workers + 1)
    ]
    api = Part(
        name="api",
        command=(*ULTRA, "serve", "--host", host, "--port", str(port)),
        probe=http_ok(address_to_ask(host), port, "/health/ready"),
        after=after,
        stage=4,
        environment=settings,
    )
    return [migrate, *crew, api]


def address_to_ask(host: str) -> str:
    """Where a server that listens on this host is reached from here."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


async def _runs() -> bool:
    return True
