"""Our own processes as parts: migrations, workers, API."""

import secrets
import socket
import sys
from collections.abc import Callable, Mapping

from cli.embedded.part import Part, Probe
from cli.embedded.probes import http_ok

ULTRA = (sys.executable, "-P", "-m", "cli")
WORKER_KINDS = ("control", "cloud", "local")
# A worker drains for ULTRA_DRAIN_SECONDS (5) and puts back what is left.
WORKER_STOP_SECONDS = 12.0
# Its models drain, and are waited for.
LIFECYCLE_STOP_SECONDS = 20.0

WorkerProbe = Callable[[str, str], Probe]
"""From a kind and a node's name to whether that worker works."""


def migration_part(servers: frozenset[str], settings: Mapping[str, str]) -> Part:
    """The step that brings the database up to date."""
    return Part(
        name="migrate",
        command=(*ULTRA, "migrate"),
        after=servers & {"postgres"},
        environment=settings,
    )


def worker_parts(
    count: int, after: frozenset[str], settings: Mapping[str, str], probe: WorkerProbe | None
) -> list[Part]:
    """`count` workers of each kind. Without a probe one that runs is taken to work."""
    # A name of this start's own: what an earlier one left in Valkey does not look like these workers.
    start = secrets.token_hex(3)
    parts = []
    for number in range(1, count + 1):
        node = f"up-{start}-{number}"
        parts += [
            Part(
                name=f"worker-{kind}-{number}",
                command=(*ULTRA, "worker", kind, "--name", node),
                probe=probe(kind, node) if probe else _runs,
                after=after,
                stage=3,
                environment=settings,
                stop_seconds=WORKER_STOP_SECONDS,
            )
            for kind in WORKER_KINDS
        ]
    return parts


def lifecycle_part(after: frozenset[str], settings: Mapping[str, str], probe: WorkerProbe | None) -> Part:
    """The worker of this machine's models in containers, which stop with it. It is up before Docker is, and waits."""
    return Part(
        name="worker-lifecycle",
        command=(*ULTRA, "worker", "lifecycle", "--stop-models"),
        probe=probe("lifecycle", socket.gethostname()) if probe else _runs,
        after=after,
        stage=3,
        environment=settings,
        stop_seconds=LIFECYCLE_STOP_SECONDS,
    )


def api_part(host: str, port: int, after: frozenset[str], settings: Mapping[str, str]) -> Part:
    """The API; ready when it can accept work."""
    return Part(
        name="api",
        command=(*ULTRA, "serve", "--host", host, "--port", str(port)),
        probe=http_ok(address_to_ask(host), port, "/health/ready"),
        after=after,
        stage=4,
        environment=settings,
    )


def address_to_ask(host: str) -> str:
    """Where a server that listens on this host is reached from here."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


async def _runs() -> bool:
    return True
