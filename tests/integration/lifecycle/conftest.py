"""A real Docker engine, and a runner without a model in it. Skipped where there is no engine, a failure in CI."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from worker.lifecycle.docker_engine import DockerEngine

IMAGE = "ultra-scripted-model:test"
CONTEXT = Path(__file__).with_name("scripted_model")


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
    label = f"label=ultra.installation={name}"
    if containers := _docker("ps", "-aq", "--filter", label):
        _docker("rm", "-f", "-v", *containers)
    if networks := _docker("network", "ls", "-q", "--filter", label):
        _docker("network", "rm", *networks)


@pytest.fixture
async def engine(docker: str) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine()
    yield engine
    await engine.close()


def _docker(*arguments: str) -> list[str]:
    """Runs the command; returns the words that it writes."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.split()
