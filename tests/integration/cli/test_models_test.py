import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fake_docker import FakeDocker
from tests.integration.cli.ultra import PATIENCE_SECONDS, environment, ultra

SCRIPT = Path(__file__).parents[3] / "scripts" / "test_modelrunner.py"


def examined(home: Path, *arguments: str, **settings: str) -> tuple[int, dict[str, Any]]:
    result = ultra(home, "models", "test", "--json", *arguments, **settings)
    document: dict[str, Any] = json.loads(result.stdout)
    return result.returncode, document


def test_a_real_model_answers(model_runner_url: str, tmp_path: Path) -> None:
    code, document = examined(tmp_path, "--generate", MODEL_RUNNER_URL=model_runner_url)
    assert (code, document["status"]) == (0, "ok")
    assert "ai/smollm2" in document["checks"][0]["detail"]
    [answer] = document["answers"]
    assert answer["model"] == "docker_modelrunner-smollm2"
    assert answer["text"]
    assert 0 < answer["usage"]["completion_tokens"] <= 64
    assert answer["tokens_per_second"] > 0


def test_people_get_text_tokens_and_speed(model_runner_url: str, tmp_path: Path) -> None:
    result = ultra(tmp_path, "models", "test", "--generate", "smollm2", MODEL_RUNNER_URL=model_runner_url)
    assert result.returncode == 0
    assert "reachable" in result.stdout
    assert "tokens/s" in result.stdout


def test_without_generate_no_model_is_asked(model_runner_url: str, tmp_path: Path) -> None:
    code, document = examined(tmp_path, MODEL_RUNNER_URL=model_runner_url)
    assert (code, document["answers"]) == (0, [])


def test_use_mock_does_not_stand_before_the_real_thing(model_runner_url: str, tmp_path: Path) -> None:
    _, document = examined(tmp_path, MODEL_RUNNER_URL=model_runner_url, USE_MOCK="true")
    assert "ai/smollm2" in document["checks"][0]["detail"]


def test_a_model_that_the_server_lacks_comes_with_the_command_that_pulls_it(
    model_runner_url: str, tmp_path: Path
) -> None:
    code, document = examined(tmp_path, "phi3:mini", "--generate", MODEL_RUNNER_URL=model_runner_url)
    assert (code, document["answers"]) == (1, [])
    assert document["checks"][1]["next_step"] == "ultra models pull docker_modelrunner-phi3:mini"


def test_a_server_that_is_away_comes_with_all_there_is_to_check(tmp_path: Path) -> None:
    code, document = examined(tmp_path, MODEL_RUNNER_URL="http://127.0.0.1:1/v1")
    assert code == 1
    step = document["checks"][0]["next_step"]
    for word in ("docker info", "enable model-runner", "docker compose ps model-runner", "http://127.0.0.1:1/v1"):
        assert word in step


def test_several_servers_are_examined_each_for_itself(model_runner_url: str, tmp_path: Path) -> None:
    code, document = examined(
        tmp_path,
        "smollm2,ollama-llama3.1",
        "mock-a",
        "--generate",
        MODEL_RUNNER_URL=model_runner_url,
        OLLAMA_BASE_URL="http://127.0.0.1:1",
    )
    assert code == 1
    statuses = {check["name"]: check["status"] for check in document["checks"]}
    assert statuses["docker_modelrunner-smollm2"] == statuses["mock-a"] == "ok"
    assert statuses["ollama"] == "fail"


def test_the_docker_command_is_examined_too(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, models=["thinking"])
    settings = {"MODEL_RUNNER_TYPE": "cli", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    code, document = examined(tmp_path, "--generate", **settings)
    assert code == 0
    [answer] = document["answers"]
    assert (answer["model"], answer["text"], answer["usage"]) == ("docker_modelrunner-thinking", "They met.", None)
    docker.suffers("not running")
    code, document = examined(tmp_path, **settings)
    assert code == 1
    assert "docker model status" in document["checks"][0]["next_step"]


def test_a_runner_without_models_is_told_what_to_pull(tmp_path: Path) -> None:
    FakeDocker(tmp_path, models=[])
    code, document = examined(tmp_path, MODEL_RUNNER_TYPE="cli", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert code == 1
    assert document["checks"][1]["next_step"] == "ultra models pull ai/smollm2"


def test_a_runner_that_is_switched_off_names_its_setting(tmp_path: Path) -> None:
    code, document = examined(tmp_path, ENABLE_MODEL_RUNNER="false")
    assert code == 1
    assert "ENABLE_MODEL_RUNNER" in document["checks"][0]["detail"]


def test_the_script_of_the_specification_does_the_same(model_runner_url: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, SCRIPT, "--generate"],
        cwd=tmp_path,
        env=environment(tmp_path, MODEL_RUNNER_URL=model_runner_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert result.returncode == 0
    assert "tokens/s" in result.stdout
