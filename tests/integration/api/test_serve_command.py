"""`ultra serve` as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.api.asking import ASKED

ULTRA = Path(sys.executable).with_name("ultra")
PATIENCE_SECONDS = 60.0

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(postgres_url: str, redis_url: str) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        urls = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
        process = subprocess.Popen(
            [ULTRA, "serve", *arguments],
            env=os.environ | urls | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_until_up(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=PATIENCE_SECONDS).status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    pytest.fail("the API did not start")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop_and_then_ends_well(
    start: Start, closed_port: int, number: signal.Signals
) -> None:
    process = start("--port", str(closed_port))
    url = f"http://127.0.0.1:{closed_port}"
    wait_until_up(url)
    job = httpx.post(f"{url}/api/analyze", json=ASKED, timeout=PATIENCE_SECONDS).json()
    with httpx.stream("GET", url + job["links"]["events"], timeout=PATIENCE_SECONDS) as watching:
        assert watching.status_code == httpx.codes.OK
        process.send_signal(number)
        assert b"job.finished" not in watching.read()
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_beyond_loopback_without_a_key_it_says_in_one_line_what_to_do(start: Start, closed_port: int) -> None:
    process = start("--host", "0.0.0.0", "--port", str(closed_port))  # noqa: S104  # it must refuse this
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    [line] = output.strip().splitlines()
    assert line.startswith("error: ULTRA_HOST=0.0.0.0")
    assert "ultra keys create" in line


def test_an_address_given_by_setting_is_what_it_is_reached_at(start: Start, closed_port: int) -> None:
    start("--host", "0.0.0.0", "--port", str(closed_port), ULTRA_HOST="127.0.0.1")  # noqa: S104  # as in a container
    wait_until_up(f"http://127.0.0.1:{closed_port}")


def test_it_listens_where_it_is_told_and_nowhere_else(start: Start, closed_port: int) -> None:
    start("--host", "127.0.0.1", "--host", "127.0.0.2", "--port", str(closed_port))
    for address in ("127.0.0.1", "127.0.0.2"):
        wait_until_up(f"http://{address}:{closed_port}")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.3:{closed_port}/health")


def test_one_address_beyond_loopback_is_enough_to_ask_for_keys(start: Start, closed_port: int) -> None:
    process = start("--host", "0.0.0.0", "--host", "127.0.0.1", "--port", str(closed_port))  # noqa: S104  # refused
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert output.startswith("error: ULTRA_HOST=0.0.0.0")


def test_an_address_that_is_taken_is_named(start: Start, closed_port: int) -> None:
    with socket.create_server(("127.0.0.1", closed_port)):
        process = start("--port", str(closed_port))
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    where = f"127.0.0.1 port {closed_port} (Address already in use)"
    assert output.strip() == f"error: Cannot listen on {where}: choose others with --host and --port."
