"""Keys of servers, from the environment and from `.env`."""

import os
from pathlib import Path

import pytest

from common.providers.making import variable

NAME = "ULTRA_TEST_SERVER_KEY"


@pytest.fixture
def dot_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def key() -> str | None:
    found = variable(NAME)
    return found.get_secret_value() if found else None


def test_a_key_is_that_of_the_environment_and_else_of_the_file(dot_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key() is None
    dot_env.write_text(f"{NAME}=sk-of-the-file\n")
    assert key() == "sk-of-the-file"
    monkeypatch.setenv(NAME, "sk-of-the-environment")
    assert key() == "sk-of-the-environment"


def test_an_edit_counts_at_once(dot_env: Path) -> None:
    for said in ("sk-1", "sk-22", "sk-333"):
        dot_env.write_text(f"{NAME}={said}\n")
        assert key() == said


def test_a_file_that_is_as_it_was_is_not_read_again(dot_env: Path) -> None:
    dot_env.write_text(f"{NAME}=sk-1\n")
    then = dot_env.stat()
    assert key() == "sk-1"
    dot_env.write_text(f"{NAME}=sk-2\n")
    os.utime(dot_env, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert key() == "sk-1"


def test_what_no_header_can_hold_is_no_key(dot_env: Path) -> None:
    dot_env.write_text(f"{NAME}=sk-ü\n")
    assert key() is None
