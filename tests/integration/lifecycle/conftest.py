"""A real Docker engine, and a runner without a model in it. Skipped where there is no engine, a failure in CI."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest

from common.database.connect import connect
from tests.integration.lifecycle.station import Station
from tests.integration.lifecycle.station import docker as docker_command
from worker.lifecycle.docker_engine import DockerEngine

CONTEXT = Path(__file__).with_name("scripted_model")
# Named after what it does: another checkout that tests in the same engine may have another one.
IMAGE = f"ultra-scripted-model:{sha256((CONTEXT / 'server.py').read_bytes()).hexdigest()[:12]}"


@pytest.fixture(scope="session")
def docker() -> str:
    """The scripted runner's image, in an engine that answers."""
    try:
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=30)
        subprocess.run(["docker", "image", "inspect", "python:3.11-slim"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Docker engine with python:3.11-slim answers ({error}): shared/standins/build gives one")
    subprocess.run(["docker", "build", "-q", "-t", IMAGE, CONTEXT], check=True, capture_output=True, timeout=120)
    return IMAGE


@pytest.fixture
def installation() -> Iterator[str]:
    """An installation of this test's own; what it leaves behind is removed."""
    name = str(uuid4())
    yield name
    _remove(name)


@pytest.fixture
async def engine(docker: str) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine()
    yield engine
    await engine.close()


@pytest.fixture
async def station(
    docker: str, engine: DockerEngine, postgres_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Station]:
    database = connect(postgres_url)
    station = Station(database, engine, redis_url, docker, tmp_path)
    try:
        yield station
    finally:
        station.stop_workers()
        _remove(await station.installation())
        await database.dispose()


def _remove(installation: str) -> None:
    """Everything in the engine that carries this installation's label."""
    label = f"label=ultra.installation={installation}"
    if containers := docker_command("ps", "-aq", "--filter", label):
        docker_command("rm", "-f", "-v", *containers)
    if networks := docker_command("network", "ls", "-q", "--filter", label):
        docker_command("network", "rm", *networks)
