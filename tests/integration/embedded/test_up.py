"""`ultra up` as a person uses it: typed in a shell, stopped with Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cli.embedded.datadir import REPLACEABLE
from cli.embedded.ports import free_port
from cli.embedded.processes import started_at
from cli.embedded.stack import Stack
from tests.integration.embedded.watching import pids_of, until

ULTRA = (sys.executable, "-P", "-m", "cli")
# Without the model server most starts here are quick; the one with it is in the test of everything.
NO_MODEL = {"ENABLE_MODEL_RUNNER": "false"}
# Only a failure waits this long.
PATIENCE_SECONDS = 90


class Up:
    """A running `ultra up`, and what it said so far."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        [line] = [line for line in self.said.splitlines() if line.startswith("ready ")]
        return line.removeprefix("ready ")

    def wait_until_ready(self) -> None:
        until(lambda: "\nready http://" in self.said or self.process.poll() is not None, "ready", PATIENCE_SECONDS)
        assert self.process.poll() is None, self.said

    def wait_until_healthy(self) -> None:
        # what it examines has 2 s to answer
        until(lambda: httpx.get(f"{self.url}/health", timeout=60).status_code == 200, "health", PATIENCE_SECONDS)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_SECONDS)


def environment(changes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in REPLACEABLE} | changes


@contextmanager
def up(directory: Path, *arguments: str, **changes: str) -> Iterator[Up]:
    """Run `ultra up` with its data in a directory; stopped, if need be by force, at the end."""
    log = directory.with_name(f"{directory.name}.up.log")
    with (
        log.open("w") as sink,
        subprocess.Popen(
            [*ULTRA, "up", "--data-dir", str(directory), *arguments],
            env=environment(changes),
            cwd=directory.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        running = Up(process, log)
        try:
            running.wait_until_ready()
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def refused(directory: Path, *arguments: str, **changes: str) -> tuple[int, str]:
    """The exit code and the words of an `ultra up` that does not start."""
    command = [*ULTRA, "up", "--data-dir", str(directory), *arguments]
    done = subprocess.run(
        command, env=environment(changes), capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    return done.returncode, done.stderr


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_everything_starts_serves_and_stops_without_a_trace(tmp_path: Path) -> None:
    port = free_port()
    with up(tmp_path / "data", "--port", str(port)) as running:
        assert running.url == f"http://127.0.0.1:{port}"
        running.wait_until_healthy()
        pids = pids_of(tmp_path / "data")
        assert set(pids) >= {
            "postgres",
            "valkey",
            "model",
            "worker-control-1",
            "worker-cloud-1",
            "worker-local-1",
            "api",
        }
        assert running.interrupt() == 0
    assert not any(started_at(pid) for pid in pids.values())
    assert not is_listening(port)


def test_a_worker_that_is_killed_is_replaced_and_people_are_told(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--port", "0", **NO_MODEL) as running:
        killed = pids_of(tmp_path / "data")["worker-cloud-1"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: pids_of(tmp_path / "data")["worker-cloud-1"] != killed)
        assert "worker-cloud-1 was killed by SIGKILL; starting it again in 0.5 s" in running.said
        running.wait_until_healthy()
        assert running.interrupt() == 0


def test_models_in_containers_are_looked_after_if_asked_for_docker_or_not(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/no-docker.sock"
    with up(tmp_path / "data", "--lifecycle", "--port", "0", DOCKER_HOST=nowhere, **NO_MODEL) as running:
        assert "worker-lifecycle up in" in running.said  # it consumes
        assert "worker-lifecycle" in pids_of(tmp_path / "data")


def test_a_worker_started_beside_it_works_for_it(tmp_path: Path) -> None:
    def controls(running: Up) -> int:
        workers: dict[str, int] = httpx.get(f"{running.url}/health", timeout=60).json()["checks"]["workers"]
        return workers["control"]

    with up(tmp_path / "ultrallm", "--port", "0", **NO_MODEL) as running:
        until(lambda: controls(running) == 1, "one consumes", PATIENCE_SECONDS)
        command = [*ULTRA, "worker", "control", "--name", "beside"]
        here = environment({"XDG_DATA_HOME": str(tmp_path), **NO_MODEL})
        with subprocess.Popen(command, env=here, cwd=tmp_path, stderr=subprocess.DEVNULL) as worker:
            try:
                until(lambda: controls(running) == 2, "both consume", PATIENCE_SECONDS)
            finally:
                worker.terminate()
            assert worker.wait(PATIENCE_SECONDS) == 0


def test_a_start_right_after_a_kill_takes_over(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--port", "0", **NO_MODEL) as running:
        pids = pids_of(tmp_path / "data")
        running.process.kill()
        running.process.wait(PATIENCE_SECONDS)
        with up(tmp_path / "data", "--port", "0", **NO_MODEL) as second:
            second.wait_until_healthy()
            assert not any(started_at(pid) for pid in pids.values())


def test_servers_named_in_the_dotenv_file_are_used_instead(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL={postgres_url}\nREDIS_URL={redis_url}\n")
    with up(tmp_path / "data", "--port", "0", **NO_MODEL) as running:
        assert not {"postgres", "valkey"} & set(pids_of(tmp_path / "data"))
        running.wait_until_healthy()


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, words = refused(tmp_path / "data", "--port", str(port))
    assert (code, words) == (1, f"error: Port {port} on 127.0.0.1 is taken: choose another with --port.\n")
    assert not list((tmp_path / "data" / "logs").iterdir())


def test_a_second_start_on_the_same_data_names_the_first(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", only=["valkey"]) as stack:
        code, words = refused(tmp_path / "data", "--port", "0")
        assert (code, words.count("\n")) == (1, 1)
        assert words.startswith(f"error: Another `ultra up` (pid {stack.pid}) uses the data directory")


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, words = refused(tmp_path / "file" / "data", "--port", "0")
    assert (code, words.count("\n")) == (1, 1)
    assert words.startswith(f"error: Cannot write to the data directory {tmp_path}/file/data")


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    code, words = refused(tmp_path / "data", "--host", "192.0.2.1", "--port", "0")
    assert code == 1
    assert words.startswith("error: Cannot listen on 192.0.2.1 port 0")


def test_a_wrong_setting_stops_the_start_by_its_name(tmp_path: Path) -> None:
    code, words = refused(tmp_path / "data", ULTRA_PORT="eighty")
    assert (code, words.count("\n")) == (1, 1)
    assert "ULTRA_PORT" in words
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [("--port", "70000"), ("--workers", "0"), ("--prot", "1")])
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert refused(tmp_path / "data", *arguments)[0] == 2
