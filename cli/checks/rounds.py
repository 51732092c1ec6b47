"""The doctor's rounds: which checks make sense here, in which order they are told."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

from cli.checks import machine
from cli.checks.broker import broker
from cli.checks.database import database
from cli.checks.finding import Finding, fail, ok, warn
from cli.checks.fleet import fleet
from cli.checks.models import api, catalog_finding, model_runner
from cli.surroundings import Surroundings, look_around
from common.catalog.catalog import Catalog
from common.catalog.load import load_catalog
from common.errors import ConfigError
from common.settings import load_settings

# A check that takes longer is a finding of its own.
CHECK_SECONDS = 15.0


async def examine(data_dir: Path | None = None) -> list[Finding]:
    """Everything there is to say, in the order of dependence: the first failure explains the later ones."""
    findings = [machine.python()]
    try:
        settings = load_settings()
    except ConfigError as error:
        return [*findings, fail("settings", error.message, "correct it in the environment or in .env")]
    findings.append(ok("settings", "valid"))
    try:
        catalog = load_catalog(settings)
    except ConfigError as error:
        return [*findings, fail("catalog", error.message, "correct the file, or the setting it names")]
    findings.append(catalog_finding(catalog))
    surroundings = look_around(settings, data_dir)
    findings += await _servers(surroundings, catalog)
    findings += [machine.disk(surroundings.data_dir), await machine.docker()]
    return findings


async def _servers(surroundings: Surroundings, catalog: Catalog) -> list[Finding]:
    settings = surroundings.settings
    base = (surroundings.stack or {}).get("URL") or f"http://{settings.ultra_host}:{settings.ultra_port}"
    database_url, redis_url = surroundings.find("DATABASE_URL"), surroundings.find("REDIS_URL")
    runner_url = surroundings.find("MODEL_RUNNER_URL")
    needs_runner = settings.enable_model_runner and not settings.use_mock
    api_answer, *answers = await asyncio.gather(
        _bounded("api", _listed(api(base))),
        _bounded("database", database(database_url)) if database_url else _nothing(),
        _bounded("broker", broker(redis_url)) if redis_url else _nothing(),
        _bounded("lifecycle workers", fleet(database_url, catalog)) if database_url else _nothing(),
        _bounded("model runner", model_runner(runner_url, catalog)) if runner_url and needs_runner else _nothing(),
    )
    found = [finding for answer in answers for finding in answer]
    if not surroundings.is_stack_running:
        found += machine.packages(surroundings)
    if api_answer:
        return [*found, *api_answer]
    found.append(machine.port(surroundings))
    # worth saying where the servers that it needs are named
    alone = "start it: `ultra serve`, or " if database_url and redis_url else ""
    step = f"{alone}start everything: `ultra up`"
    return [*found, warn("api", f"nobody answers at {base}", step)]


async def _bounded(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check
    except TimeoutError:
        return [fail(name, f"no answer within {CHECK_SECONDS:g} s", "see whether something blocks the way to it")]


async def _listed(check: Awaitable[Finding | None]) -> list[Finding]:
    finding = await check
    return [finding] if finding else []


async def _nothing() -> list[Finding]:
    return []
