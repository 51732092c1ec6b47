"""Real servers for tests: Postgres and Valkey once a session, a fresh database and an empty Valkey a test."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from redis import Redis
from sqlalchemy import make_url

from cli.embedded.stack import Stack

TEMPLATE = "migrated_template"
MIGRATE = "from common.database.migrate import upgrade; upgrade()"

# What a shell starts in the background is deaf to Ctrl-C, and so is all that it starts: a test that sends one would
# wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No time limit an example: what a busy machine takes is no property of the code.
hypothesis_settings.register_profile("patient", deadline=None)
hypothesis_settings.load_profile("patient")


# Files that take minutes, most of it waiting. What begins last has all others wait for it.
INTEGRATION = Path(__file__).parent / "integration"
LONGEST = {
    INTEGRATION / "api" / "test_schemathesis.py",
    *(INTEGRATION / "lifecycle" / f"test_{name}.py" for name in ("engine_killed", "faults", "many_models", "memory")),
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others as pytest-randomly has shuffled them."""
    items.sort(key=lambda item: item.path not in LONGEST)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Postgres and Valkey of this session."""
    with Stack(tmp_path_factory.mktemp("servers"), only=("postgres", "valkey")) as stack:
        yield stack


@pytest.fixture(scope="session")
def postgres_template(servers: Stack) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A connection that creates databases; the migrated template exists."""
    url = servers.settings["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
        subprocess.run(
            [sys.executable, "-P", "-c", MIGRATE],
            env={**os.environ, "DATABASE_URL": of_database(url, TEMPLATE)},
            check=True,
            timeout=60,
        )
        yield connection


@pytest.fixture
def postgres_url(
    servers: Stack,
    postgres_template: "psycopg.Connection[tuple[object, ...]]",
    numbers: Iterator[int],
) -> Iterator[str]:
    """A database of this test's own, migrated, with nothing in it."""
    name = f"test_{next(numbers)}"
    postgres_template.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield of_database(servers.settings["DATABASE_URL"], name)
    postgres_template.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url(servers: Stack) -> str:
    """Valkey, emptied."""
    url = servers.settings["REDIS_URL"]
    with Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(scope="session")
def model_runner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp with the small model, for the whole session: the base of its OpenAI-compatible API."""
    with Stack(tmp_path_factory.mktemp("model"), only=("model",)) as stack:
        yield stack.settings["MODEL_RUNNER_URL"]


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """1, 2, 3, …"""
    return itertools.count(1)


def of_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)
