"""Which parts a stack has: everything that no setting points elsewhere."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cli.embedded.datadir import DataDir
from cli.embedded.errors import CannotStart
from cli.embedded.model import model_part, model_url
from cli.embedded.part import Part
from cli.embedded.ports import LOOPBACK, free_port
from cli.embedded.postgres import postgres_parts, postgres_url, prepare_postgres, release_postgres
from cli.embedded.probes import worker_consumes
from cli.embedded.program import WorkerProbe, api_part, lifecycle_part, migration_part, worker_parts
from cli.embedded.valkey import valkey_part, valkey_url

SERVERS = ("postgres", "valkey", "model")
EVERYTHING = (*SERVERS, "ultra")
# What is started only for who asks for it: models in containers need Docker.
LIFECYCLE = "lifecycle"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `only` names what to start: servers, `ultra` for migrations, workers and API, and with
    those `lifecycle` for the worker that looks after models in containers.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    only: frozenset[str] = frozenset(EVERYTHING)


@dataclass(slots=True)
class Plan:
    """The parts to start, and the settings by which programs reach them."""

    parts: list[Part] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)


def make_plan(wish: Wish, data: DataDir, environment: Mapping[str, str], cleanup: ExitStack) -> Plan:
    """Choose ports and passwords, write what the parts read at their start, and list the parts.

    A server whose setting is in the environment is not started: that one is used. What must be removed
    when the stack has stopped is left in `cleanup`.

    Raises:
        CannotStart: something that is needed is missing on this machine.
    """
    plan = Plan()
    probe: WorkerProbe | None = None
    if "postgres" in wish.only and not _given("DATABASE_URL", environment, plan):
        files = prepare_postgres(data)
        cleanup.callback(release_postgres, files)
        password = data.secret("postgres")
        plan.parts += postgres_parts(files, password, max_connections=connections_for(wish.workers))
        plan.settings["DATABASE_URL"] = postgres_url(files, password)
    if "valkey" in wish.only and not _given("REDIS_URL", environment, plan):
        port, password = free_port(), data.secret("valkey")
        plan.parts.append(valkey_part(data, port, password))
        plan.settings["REDIS_URL"] = valkey_url(port, password)
        probe = partial(worker_consumes, LOOPBACK, port, password)
    if "model" in wish.only and not _given("MODEL_RUNNER_URL", environment, plan):
        port = free_port()
        plan.parts.append(model_part(port))
        plan.settings["MODEL_RUNNER_URL"] = model_url(port)
    if "ultra" in wish.only:
        # ULTRA_HOST is the address the API is reached at: what it listens on, unless somebody says otherwise.
        reached_at = environment.get("ULTRA_HOST") or wish.host
        plan.settings |= {"ULTRA_HOST": reached_at, "ULTRA_PORT": str(wish.port)}
        servers = frozenset(part.name for part in plan.parts)
        after = frozenset({"migrate"}) | servers & {"valkey"}
        plan.parts.append(migration_part(servers, plan.settings))
        plan.parts += worker_parts(wish.workers, after, plan.settings, probe)
        if LIFECYCLE in wish.only:
            plan.parts.append(lifecycle_part(after, plan.settings, probe))
        plan.parts.append(api_part(wish.host, wish.port, after, plan.settings))
    return plan


def connections_for(workers: int) -> int:
    """Postgres' `max_connections`: pools of three kinds of worker and an API, and some for people."""
    return 70 + 30 * workers


def _given(name: str, environment: Mapping[str, str], plan: Plan) -> bool:
    """Whether a setting points to a server of the user's; it is handed on as it is."""
    value = environment.get(name, "")
    if value:
        plan.settings[name] = value
    return bool(value)


def parse_only(text: str) -> frozenset[str]:
    """`postgres,valkey` as a set.

    Raises:
        CannotStart: a name that is none.
    """
    names = frozenset(text.split(","))
    known = (*EVERYTHING, LIFECYCLE)
    if unknown := names - set(known):
        raise CannotStart(f"No part {', '.join(sorted(unknown))}: choose from {', '.join(known)}.")
    return names
