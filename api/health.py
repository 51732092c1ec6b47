"""Whether work can be accepted, and whether it will be done."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.database import Database
from api.gateway.ivy import CLAUDE
from api.workforce import NEEDED_QUEUES, workers_by_queue
from common.catalog.catalog import Catalog
from common.circuits import Circuits
from common.contracts.health import Check, Checks, HealthDocument, HealthStatus
from common.database import jobs
from common.errors import DependencyDown, ModelNotFound
from common.providers.registry import Providers
from common.settings import Settings

CHECK_SECONDS = 2.0
# However many ask, things are looked at once in this time.
FRESH_SECONDS = 1.0
# Models that are named of a provider; the metrics name all.
MAX_NAMES = 10


class Health:
    """Looks at what this process depends on."""

    def __init__(
        self,
        settings: Settings,
        catalog: Callable[[], Catalog],
        providers: Providers,
        database: Database,
        redis: "Redis",
        broken_edits: Callable[[], Sequence[str]],
        circuits: Circuits,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._providers = providers
        self._database = database
        self._redis = redis
        self._broken_edits = broken_edits
        self._circuits = circuits
        self._looked_at = 0.0
        self._looking: asyncio.Task[Checks] | None = None

    async def checks(self) -> Checks:
        """What a look found, at most FRESH_SECONDS ago. Never raises, and takes CHECK_SECONDS at most."""
        now = time.monotonic()
        if self._looking is None or (self._looking.done() and now - self._looked_at >= FRESH_SECONDS):
            self._looking = asyncio.create_task(self._look())
            self._looked_at = now
        return await asyncio.shield(self._looking)

    async def _look(self) -> Checks:
        database, (broker, workers), providers = await asyncio.gather(
            self._look_at_database(), self._look_at_broker(), self._look_at_providers()
        )
        return Checks(
            database=database,
            broker=broker,
            workers=workers,
            providers=providers,
            config=config_check(self._broken_edits()),
        )

    async def _look_at_database(self) -> Check:
        try:
            await self._database.fetch(jobs.any_one(), seconds=CHECK_SECONDS)
        except DependencyDown as error:
            return Check(status="down", detail=error.message)
        return Check(status="up")

    async def _look_at_broker(self) -> tuple[Check, dict[str, int]]:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return Check(status="up"), await workers_by_queue(self._redis)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            detail = f"Redis is away ({type(error).__name__})."
            return Check(status="down", detail=detail), dict.fromkeys(NEEDED_QUEUES, 0)

    async def _look_at_providers(self) -> dict[str, Check]:
        """By the settings and the circuits; where the settings name a server of ours, also by knocking at it."""
        found: dict[str, Check] = {}
        for entry in self._catalog().entries.values():
            is_available, reason = self._providers.availability(entry)
            known = found.get(entry.provider)
            if known is None or (known.status == "off" and is_available):
                found[entry.provider] = Check(status="up" if is_available else "off", detail=reason)
        runner = found.get("docker_modelrunner")
        url = self._providers.base_url("docker_modelrunner")
        if url and runner is not None and runner.status == "up" and not self._settings.use_mock:
            found["docker_modelrunner"] = await knock(url)
        with suppress(TimeoutError):  # the broker's check says so
            await asyncio.wait_for(self._circuits.refresh(), CHECK_SECONDS)
        return found | circuit_checks(self._circuits.open_keys())


async def knock(url: str) -> Check:
    """Whether something listens there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError as error:
        return Check(status="down", detail=f"Nobody answers at {parts.hostname}:{port} ({type(error).__name__}).")
    writer.close()
    return Check(status="up")


def circuit_checks(open_keys: Sequence[str]) -> dict[str, Check]:
    """By provider, which of its models are left alone."""
    models: dict[str, list[str]] = {}
    for key in open_keys:
        provider, _, model = key.partition("/")
        models.setdefault(provider, []).append(model)
    return {
        provider: Check(status="down", detail=f"Left alone after repeated failures: {_named(names)}.")
        for provider, names in models.items()
    }


def _named(models: Sequence[str]) -> str:
    more = len(models) - MAX_NAMES
    return ", ".join(models[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def config_check(broken_edits: Sequence[str]) -> Check:
    """Whether what the files say is in force. It is no reason to send work elsewhere if not: the last good state is."""
    if not broken_edits:
        return Check(status="up")
    return Check(status="down", detail=f"The last good state is in force. {'; '.join(broken_edits)}")


def status_of(checks: Checks) -> HealthStatus:
    """Without the database no job can be taken; without broker or workers it can, and waits."""
    if checks.database.status != "up":
        return "unavailable"
    return "healthy" if checks.broker.status == "up" and has_all_workers(checks.workers) else "degraded"


def has_all_workers(workers: Mapping[str, int]) -> bool:
    """Whether every needed queue has a worker that proves to consume it."""
    return all(workers.get(queue, 0) > 0 for queue in NEEDED_QUEUES)


def health_document(checks: Checks, settings: Settings, catalog: Catalog, version: str) -> HealthDocument:
    """What `/health` says."""
    url = settings.knowledge_agent_url
    return HealthDocument(
        status=status_of(checks),
        version=version,
        llm_provider=settings.llm_provider,
        model=settings.ollama_model if settings.llm_provider == "local" else _name_of_claude(catalog),
        knowledge_agent_url=None if url is None else without_secrets(url),
        checks=checks,
    )


def without_secrets(url: str) -> str:
    """The URL without user, password and query: whoever asks for health has shown no key."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _name_of_claude(catalog: Catalog) -> str:
    try:
        return catalog.resolve(CLAUDE).name
    except ModelNotFound:
        return CLAUDE
