"""`ultra jobs retry`, `cancel` and `dead` against a whole stack; the dead letter is made by hand."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cli.embedded.stack import Stack
from tests.integration.cli.terminal import Terminal
from tests.integration.cli.ultra import ultra

UNKNOWN = "0192f0c1-0000-7000-8000-000000000001"


def run(stack: Stack, home: Path, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    return ultra(home, *arguments, ULTRA_URL=stack.url, **more)


def analyzed(stack: Stack, home: Path, *models: str) -> str:
    """The id of an ended analysis."""
    arguments = ("analyze", "Why?", "--models", ",".join(models), "--no-merge", "--json")
    return str(json.loads(run(stack, home, *arguments).stdout)["id"])


def shown(stack: Stack, home: Path, job_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(stack, home, "show", job_id, "--watch", "--json").stdout)
    return document


@pytest.fixture(scope="module")
def dead_job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a job one of whose calls was given up."""
    job_id = analyzed(stack, tmp_path_factory.mktemp("home"), "mock-a", "mock-b")
    error = json.dumps({"code": "dead_lettered", "message": "3 workers fell silent on this call."})
    with psycopg.connect(stack.settings["DATABASE_URL"]) as connection:
        connection.execute(
            "UPDATE calls SET status = 'failed', attempt = 3, silences = 2, answer = answer || "
            "jsonb_build_object('status', 'failed', 'error', %s::jsonb) WHERE job_id = %s AND position = 0",
            (error, job_id),
        )
    return job_id


def test_jobs_alone_still_lists_with_its_options(stack: Stack, tmp_path: Path) -> None:
    job_id = analyzed(stack, tmp_path, "mock-a")
    for arguments in (("jobs",), ("jobs", "--status", "completed", "-n", "5"), ("jobs", "--url", stack.url)):
        assert job_id in run(stack, tmp_path, *arguments).stdout
    assert job_id not in run(stack, tmp_path, "jobs", "--status", "failed").stdout


def test_retried_jobs_are_run_again_and_a_wrong_id_fails_alone(stack: Stack, tmp_path: Path) -> None:
    job_id = analyzed(stack, tmp_path, "mock-error")
    result = run(stack, tmp_path, "jobs", "retry", job_id, UNKNOWN)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{UNKNOWN} refused: No job of that id. `ultra jobs` lists")
    old_id, *_, new_id = result.stdout.split()
    assert old_id == job_id
    assert shown(stack, tmp_path, new_id)["retry_of"] == job_id


def test_options_of_the_server_may_stand_before_and_behind(stack: Stack, tmp_path: Path) -> None:
    job_id = analyzed(stack, tmp_path, "mock-a")
    for arguments in (
        ("jobs", "--url", stack.url, "retry", job_id),
        ("jobs", "retry", job_id, "--url", stack.url),
    ):
        assert ultra(tmp_path, *arguments).returncode == 0
    away = ultra(tmp_path, "jobs", "retry", job_id, "--url", "http://127.0.0.1:1")
    assert away.returncode == 1
    assert "ultra up" in away.stderr


def test_what_a_filter_finds_is_retried_once_however_often_it_is_asked(stack: Stack, tmp_path: Path) -> None:
    job_id = analyzed(stack, tmp_path, "mock-error")
    command = ("jobs", "retry", "--status", "failed", "--limit", "1", "--yes", "--json")
    [first] = json.loads(run(stack, tmp_path, *command).stdout)["data"]
    assert (first["id"], first["outcome"]) == (job_id, "retried")
    shown(stack, tmp_path, first["job_id"])  # which failed too, and is the newest now
    [second] = json.loads(run(stack, tmp_path, *command).stdout)["data"]
    assert second["id"] == first["job_id"]
    shown(stack, tmp_path, second["job_id"])
    found = json.loads(run(stack, tmp_path, *command[:-3], "3", "--yes", "--json").stdout)["data"]
    assert [one["outcome"] for one in found] == ["retried", "retried before", "retried before"]


def test_dead_letters_are_listed_and_their_jobs_retried_once(stack: Stack, tmp_path: Path, dead_job: str) -> None:
    table = run(stack, tmp_path, "jobs", "dead")
    assert table.returncode == 0
    assert dead_job in table.stdout
    [letter] = json.loads(run(stack, tmp_path, "jobs", "dead", "--json").stdout)["data"]
    assert (letter["job_id"], letter["silences"], letter["error"]["code"]) == (dead_job, 3, "dead_lettered")
    first = run(stack, tmp_path, "jobs", "retry", "--dead", "--yes")
    assert first.stdout.startswith(f"{dead_job} retried as ")
    again = run(stack, tmp_path, "jobs", "retry", "--dead", "--yes")
    assert again.stdout.startswith(f"{dead_job} was retried before, as ")
    assert again.stdout.split()[-1] == first.stdout.split()[-1]


def test_nobody_to_ask_means_nothing_is_retried(stack: Stack, tmp_path: Path, dead_job: str) -> None:
    before = run(stack, tmp_path, "jobs", "--json").stdout
    result = run(stack, tmp_path, "jobs", "retry", "--dead")
    assert result.returncode == 2
    assert "--yes" in result.stderr
    assert run(stack, tmp_path, "jobs", "--json").stdout == before


def test_a_person_is_asked_and_may_say_no(stack: Stack, tmp_path: Path, dead_job: str) -> None:
    before = run(stack, tmp_path, "jobs", "--json").stdout
    with Terminal(tmp_path, "jobs", "retry", "--dead", ULTRA_URL=stack.url) as terminal:
        terminal.wait_for("Retry 1 job?")
        terminal.press("n\r")
        assert terminal.exit_code() == 0
    assert run(stack, tmp_path, "jobs", "--json").stdout == before


def test_cancelling_says_of_each_whether_it_still_ran(stack: Stack, tmp_path: Path) -> None:
    ended = analyzed(stack, tmp_path, "mock-a")
    asked = {"prompt": "Why?", "models": ["mock-minute"]}
    running = httpx.post(f"{stack.url}/api/analyze", json=asked, timeout=60).json()["id"]
    result = run(stack, tmp_path, "jobs", "cancel", running, ended)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{running} cancelled\n{ended} had ended before: completed\n"


@pytest.mark.parametrize(
    "arguments", [(), (UNKNOWN, "--dead"), ("--dead", "--status", "failed"), ("--status", "running")]
)
def test_which_jobs_is_said_in_one_way(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert ultra(tmp_path, "jobs", "retry", *arguments).returncode == 2
