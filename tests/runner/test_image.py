"""The images on a real engine, as locked in as the fleet runs them: no network, nothing writable but /tmp."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.runner.processes import smollm2

pytestmark = pytest.mark.docker

IMAGES = os.environ.get("RUNNER_IMAGES", "").split()
# To read a GGUF file takes transformers a minute of a busy processor.
READY_SECONDS = 300
LOCKED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"]
LIMITS = ["--tmpfs", "/tmp", "--memory", "3g", "--pids-limit", "256"]
# Nothing can be reached from outside a container without a network, so it is asked from inside.
ASK = """
import sys, urllib.request as web
path, body = sys.argv[1], sys.argv[2].encode() or None
try:
    with web.urlopen(web.Request("http://127.0.0.1:8000" + path, body), timeout=300) as answer:
        print(answer.status, answer.read().decode())
except web.HTTPError as error:
    print(error.code, error.read().decode())
except OSError:
    print(0, "{}")
"""
# An engine in a process of its own, as llama.cpp is, can be held: what it was asked is not finished meanwhile.
SIGNAL_ENGINE = """
import os, signal, sys
pids = open("/proc/1/task/1/children").read().split()
for pid in pids:
    os.kill(int(pid), signal.Signals[sys.argv[1]])
print(*pids)
"""


def docker(*arguments: str) -> str:
    ended = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def ask(container: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, _, answer = docker(
        "exec", container, "python", "-c", ASK, path, json.dumps(body) if body else ""
    ).partition(" ")
    return int(status), answer if answer.startswith("data:") else json.loads(answer)


def signal_engine(container: str, name: str) -> bool:
    """Whether there is a process to send it to."""
    return bool(docker("exec", container, "python", "-c", SIGNAL_ENGINE, name))


@pytest.fixture(params=IMAGES or ["none"])
def container(request: pytest.FixtureRequest) -> Iterator[str]:
    if not IMAGES:
        pytest.skip("RUNNER_IMAGES names no images: `make runner-image` builds them")
    if shutil.which("docker") is None:
        pytest.skip("there is no docker")
    weights = smollm2()
    settings = {
        "ULTRA_MODEL_ID": "local-smollm2",
        "ULTRA_MODEL_PATH": f"/models/{weights.name}",
        "ULTRA_CONTEXT": "512",
    }
    environment = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    mount = f"{weights.parent}:/models:ro"
    name = docker("run", "--detach", *LOCKED, *LIMITS, "-v", mount, *environment, request.param)
    yield name
    docker("rm", "--force", name)


def test_it_loads_answers_and_drains_in_a_locked_container(container: str) -> None:
    until = time.monotonic() + READY_SECONDS
    while ask(container, "/ready")[0] != 200:
        assert time.monotonic() < until, docker("logs", container)
    assert docker("exec", container, "id", "-u") == "10001"
    status, answer = ask(container, "/inference", {"prompt": "Say hello.", "max_tokens": 8})
    assert (status, answer["usage"]["completion_tokens"] > 0) == (200, True)
    turn = {"messages": [{"role": "user", "content": "Tell me a long story."}]}
    assert "[DONE]" in ask(container, "/v1/chat/completions", turn | {"stream": True, "max_tokens": 4})[1]
    assert len(ask(container, "/v1/embeddings", {"input": "a text"})[1]["data"][0]["embedding"]) == 576
    with ThreadPoolExecutor(2) as pool:
        # one that cannot be held is kept busy for long
        most_tokens = 60 if signal_engine(container, "SIGSTOP") else 400
        running = pool.submit(ask, container, "/v1/chat/completions", turn | {"max_tokens": most_tokens})
        while ask(container, "/health")[1]["in_flight"] == 0:
            assert not running.done()
        stopping = pool.submit(docker, "stop", "--time", "120", container)
        while (refused := ask(container, "/inference", {"prompt": "hi", "max_tokens": 1}))[0] != 503:
            assert not stopping.done()
        assert refused[1]["error"]["code"] == "draining"
        signal_engine(container, "SIGCONT")
        assert running.result()[0] == 200
        stopping.result()
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
