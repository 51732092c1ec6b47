import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cli.embedded.stack import Stack
from tests.integration.cli.ultra import PATIENCE_SECONDS, ULTRA, doctor, environment, ultra, ultra_until

TWO = ("--models", "mock-a,mock-b")


def run(stack: Stack, home: Path, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    return ultra(home, *arguments, ULTRA_URL=stack.url, **more)


def analyzed(stack: Stack, home: Path, *arguments: str) -> dict[str, Any]:
    result = run(stack, home, "analyze", "Why is the sky blue?", "--json", *arguments)
    assert result.stderr == ""
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_json_is_the_document_that_the_server_keeps(stack: Stack, tmp_path: Path) -> None:
    document = analyzed(stack, tmp_path, *TWO)
    assert document["status"] == "completed"
    assert [answer["model"] for answer in document["answers"]] == ["mock-a", "mock-b"]
    kept = run(stack, tmp_path, "show", document["id"], "--json")
    assert json.loads(kept.stdout) == document


def test_a_pipe_gets_each_answer_once_and_then_the_comparison(stack: Stack, tmp_path: Path) -> None:
    result = run(stack, tmp_path, "analyze", "Why is the sky blue?", *TWO, "--lead", "mock-c")
    assert (result.returncode, result.stderr) == (0, "")
    answers = [line for line in result.stdout.splitlines() if "│" in line and "(" not in line]
    assert {line.split(" ")[0] for line in answers} >= {"mock-a", "mock-b"}
    for model in ("mock-a", "mock-b"):
        assert result.stdout.count(f"{model}: ") == 1
    assert result.stdout.index("Summary") < result.stdout.index("Recommendation")


def test_the_prompt_can_come_from_standard_input(stack: Stack, tmp_path: Path) -> None:
    result = run(stack, tmp_path, "analyze", "-", "--json", "--no-merge", *TWO, stdin="Why?\nIndeed: why?\n")
    assert json.loads(result.stdout)["prompt"] == "Why?\nIndeed: why?\n"


def test_markdown_is_markdown_alone(stack: Stack, tmp_path: Path) -> None:
    result = run(stack, tmp_path, "analyze", "Why?", *TWO, "--format", "markdown")
    assert result.stdout.startswith("## ")


def test_a_model_that_fails_makes_it_partial_and_all_of_them_failed(stack: Stack, tmp_path: Path) -> None:
    assert run(stack, tmp_path, "analyze", "Why?", "-m", "mock-a,mock-error").returncode == 3
    nobody = run(stack, tmp_path, "analyze", "Why?", "-m", "mock-error", "--quiet")
    assert nobody.returncode == 1
    assert nobody.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Why?", "-m", "mokc-a"), "mock-a"),
        (("Why?", "--type", "comparativ"), "comparative"),
        (("   ",), "must not be blank"),
        (("Why?", "--temperature", "3"), "--temperature"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error_that_helps(
    stack: Stack, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run(stack, tmp_path, "analyze", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr


def test_ctrl_c_cancels_the_job(stack: Stack, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [ULTRA, "analyze", "Why?", "--models", "mock-minute,mock-stream"],
        env=environment(tmp_path, ULTRA_URL=stack.url),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "mock-stream" in process.stdout.readline()  # it is being watched
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    job_id = said.strip().rsplit(" ", 1)[1]
    assert json.loads(run(stack, tmp_path, "show", job_id, "--json").stdout)["status"] == "cancelled"


def test_time_that_runs_out_leaves_the_job_to_be_watched_later(stack: Stack, tmp_path: Path) -> None:
    arguments = ("analyze", "Why?", "-m", "mock-slow-a", "--timeout", "0.3", "--quiet")
    # the submission has to fit into the time, too
    late = ultra_until(lambda one: "did not accept" not in one.stderr, tmp_path, *arguments, ULTRA_URL=stack.url)
    assert late.returncode == 5
    [job_id] = [word for word in late.stderr.split() if word.count("-") == 4]
    watched = run(stack, tmp_path, "show", job_id, "--watch", "--json")
    assert (watched.returncode, json.loads(watched.stdout)["status"]) == (0, "completed")


def test_jobs_are_listed_newest_first_and_page_by_page(stack: Stack, tmp_path: Path) -> None:
    made = [analyzed(stack, tmp_path, "-m", "mock-a")["id"] for _ in range(3)]
    first = json.loads(run(stack, tmp_path, "jobs", "-n", "2", "--json").stdout)
    assert [job["id"] for job in first["data"]] == made[:0:-1]
    cursor = first["next_cursor"]
    second = json.loads(run(stack, tmp_path, "jobs", "-n", "1", "--cursor", cursor, "--json").stdout)
    assert second["data"][0]["id"] == made[0]
    assert made[2] in run(stack, tmp_path, "jobs", "--status", "completed").stdout


def test_models_are_listed(stack: Stack, tmp_path: Path) -> None:
    listed = json.loads(run(stack, tmp_path, "models", "--json").stdout)["data"]
    assert "mock-a" in {model["id"] for model in listed}
    assert "mock-a" in run(stack, tmp_path, "models").stdout


def test_a_job_that_does_not_exist_is_said_so(stack: Stack, tmp_path: Path) -> None:
    result = run(stack, tmp_path, "show", "0192f0c1-0000-7000-8000-000000000001", "--watch")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_the_doctor_finds_a_running_stack_well(stack: Stack, tmp_path: Path) -> None:
    data_dir = str(Path(stack.settings["DATABASE_URL"].split("host=")[1].replace("%2F", "/")).parents[1])
    well = dict.fromkeys(("database", "migrations", "broker", "workers of local", "api"), "ok")
    code, checks = doctor(tmp_path, well, "--data-dir", data_dir, ULTRA_URL=stack.url, USE_MOCK="true")
    assert code == 0
    for name in well:
        assert checks[name]["status"] == "ok"


def test_help_appears_at_once_since_nothing_heavy_is_imported() -> None:
    loaded = subprocess.run(
        [ULTRA.with_name("python"), "-X", "importtime", "-m", "cli", "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    ).stderr
    imported = {line.rsplit("|", 1)[-1].strip() for line in loaded.splitlines()}
    assert not imported & {"pydantic", "sqlalchemy", "httpx", "celery", "fastapi", "redis", "openai", "rich"}


def test_nobody_listening_is_one_line_and_quick(tmp_path: Path) -> None:
    began = time.monotonic()
    result = ultra(tmp_path, "analyze", "Why?", ULTRA_URL="http://127.0.0.1:1")
    assert (result.returncode, result.stderr.count("\n")) == (4, 1)
    assert "ultra up" in result.stderr
    assert time.monotonic() - began < PATIENCE_SECONDS
