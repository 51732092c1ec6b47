import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_docker import FakeDocker
from tests.integration.cli.pull_servers import PullServer
from tests.integration.cli.ultra import PATIENCE_SECONDS, ULTRA, environment, ultra
from tests.integration.embedded.watching import until

SCRIPT = Path(__file__).parents[3] / "scripts" / "pull_modelrunner_models.py"


@pytest.fixture
def server() -> Iterator[PullServer]:
    with PullServer("ai/smollm2:latest").running() as running:
        yield running


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    return FakeDocker(tmp_path)


def pull(server: PullServer, home: Path, *names: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return ultra(home, "models", "pull", *names, **(server.settings | settings))


def pull_by_command(docker: FakeDocker, *names: str) -> "subprocess.CompletedProcess[str]":
    path = f"{docker.directory}:/usr/bin:/bin"
    return ultra(docker.directory, "models", "pull", *names, MODEL_RUNNER_TYPE="cli", PATH=path)


def test_models_are_pulled_one_after_the_other(server: PullServer, tmp_path: Path) -> None:
    result = pull(server, tmp_path, "phi3:mini,docker_modelrunner-llama3:8b", "phi3:mini")
    assert result.returncode == 0
    assert result.stdout == "phi3:mini: pulled, 4.0 MB\nllama3:8b: pulled, 4.0 MB\n"
    assert [asked["body"] for asked in server.asked] == [{"from": "phi3:mini"}, {"from": "llama3:8b"}]
    assert {asked["accept"] for asked in server.asked} == {"application/json"}  # else it is escaped for HTML


def test_without_a_terminal_progress_is_a_few_lines_on_standard_error(server: PullServer, tmp_path: Path) -> None:
    lines = pull(server, tmp_path, "phi3:mini").stderr.splitlines()
    assert lines[0] == "phi3:mini: 0 bytes of 4.0 MB"
    assert lines[-1] == "phi3:mini: 4.0 MB of 4.0 MB"
    assert len(lines) == len(set(lines)) == 5


@pytest.mark.parametrize("name", ["ai/smollm2", "smollm2", "docker_modelrunner-smollm2", "docker.io/ai/smollm2:latest"])
def test_what_is_there_is_left_alone(server: PullServer, tmp_path: Path, name: str) -> None:
    result = pull(server, tmp_path, name)
    assert (result.returncode, result.stderr) == (0, "")
    assert "is there already" in result.stdout
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent", "Model not found"),
        ("private", "Unauthorized"),
        ("full-disk", "no space left on [31mdevice"),
        ("cut", "pull again"),
        ("page", "no progress"),
        ("ollama-absent", "file does not exist"),
        ("ollama-cut", "pull again"),
    ],
)
def test_a_pull_that_fails_says_why(server: PullServer, tmp_path: Path, name: str, said: str) -> None:
    result = pull(server, tmp_path, name)
    assert (result.returncode, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last


def test_a_failure_stops_only_its_own_model(server: PullServer, tmp_path: Path) -> None:
    result = pull(server, tmp_path, "absent,phi3:mini")
    assert result.returncode == 3
    assert result.stdout == "phi3:mini: pulled, 4.0 MB\n"


def test_ollama_s_models_are_pulled_by_ollama(server: PullServer, tmp_path: Path) -> None:
    result = pull(server, tmp_path, "ollama-llama3.1")
    assert (result.returncode, result.stdout) == (0, "llama3.1: pulled, 4.0 MB\n")
    assert "llama3.1: verifying sha256 digest" in result.stderr
    [asked] = server.asked
    assert (asked["path"], asked["body"]) == ("/api/pull", {"model": "llama3.1", "stream": True})
    assert "is there already" in pull(server, tmp_path, "ollama-llama3.1:latest").stdout


def test_without_names_it_is_the_available_local_models(server: PullServer, tmp_path: Path) -> None:
    result = pull(server, tmp_path, AVAILABLE_LOCAL_MODELS="phi3:mini, mistral:7b")
    assert result.returncode == 0
    assert server.models[1:] == ["phi3:mini", "mistral:7b"]


def test_an_alias_is_followed_to_its_model(server: PullServer, tmp_path: Path) -> None:
    pull(server, tmp_path, "llama", MODEL_MAPPING='{"llama": "docker_modelrunner-llama3:8b"}')
    assert server.models[1:] == ["llama3:8b"]


@pytest.mark.parametrize("names", [(), ("openai-gpt4o",), ("mock-a",), ("phi3 mini",), ("a" * 300,)])
def test_what_cannot_be_pulled_is_a_usage_error(server: PullServer, tmp_path: Path, names: tuple[str, ...]) -> None:
    result = pull(server, tmp_path, *names)
    assert (result.returncode, result.stdout) == (2, "")
    assert server.asked == []


def test_ctrl_c_leaves_what_has_come_and_the_next_pull_goes_on(server: PullServer, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [ULTRA, "models", "pull", "slow"],
        env=environment(tmp_path, **server.settings),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "slow: 0 bytes of 4.0 MB\n"
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (130, "")
    assert complaint.splitlines()[-1].startswith("error: Interrupted: pull again")
    assert server.client_left.wait(PATIENCE_SECONDS)  # so the server has stopped, too


def test_a_server_that_is_away_is_unreachable(tmp_path: Path) -> None:
    result = ultra(tmp_path, "models", "pull", "phi3:mini", MODEL_RUNNER_URL="http://127.0.0.1:1/v1")
    assert result.returncode == 4
    assert "cannot be reached" in result.stderr


def test_a_server_that_fetches_no_models_says_so(model_runner_url: str, tmp_path: Path) -> None:
    """llama.cpp: it lists its models at the same path, in another form."""
    result = ultra(tmp_path, "models", "pull", "phi3:mini", MODEL_RUNNER_URL=model_runner_url)
    assert result.returncode == 1
    assert "fetches no models" in result.stderr
    assert "MODEL_RUNNER_TYPE=cli" in result.stderr


def test_the_docker_command_pulls(docker: FakeDocker) -> None:
    result = pull_by_command(docker, "phi3:mini", "ai/smollm2")
    assert (result.returncode, result.stdout) == (0, "phi3:mini: pulled, 256.0 MB\nai/smollm2: is there already\n")
    assert "phi3:mini: 128.0 MB of 256.0 MB" in result.stderr.splitlines()
    assert docker.asked("pull")[0]["names"] == ["phi3:mini"]


@pytest.mark.parametrize(("name", "said"), [("absent", "Model not found"), ("breaks-off", "broke off")])
def test_the_docker_command_s_failures_are_told(docker: FakeDocker, name: str, said: str) -> None:
    result = pull_by_command(docker, name)
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]


def test_a_docker_without_the_plugin_says_how_to_get_it(docker: FakeDocker) -> None:
    docker.suffers("no plugin")
    result = pull_by_command(docker, "phi3:mini")
    assert result.returncode == 1
    assert "docker-model-plugin" in result.stderr


def test_ctrl_c_ends_the_docker_command(docker: FakeDocker) -> None:
    process = subprocess.Popen(
        [ULTRA, "models", "pull", "slow"],
        env=environment(docker.directory, MODEL_RUNNER_TYPE="cli", PATH=f"{docker.directory}:/usr/bin:/bin"),
        cwd=docker.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "slow: 0 bytes of 256.0 MB\n"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "pull again" in complaint
    until(lambda: not Path(f"/proc/{docker.asked('pull')[0]['pid']}").exists(), "its end", PATIENCE_SECONDS)


def test_the_script_of_the_specification_does_the_same(server: PullServer, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, SCRIPT, "--models", "phi3:mini,llama3:8b"],
        cwd=tmp_path,
        env=environment(tmp_path, **server.settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert result.returncode == 0
    assert server.models[1:] == ["phi3:mini", "llama3:8b"]
