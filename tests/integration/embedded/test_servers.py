"""Postgres and Valkey as `ultra up` runs them: what survives, who gets in, what is cleaned up."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from cli.embedded.account import Account
from cli.embedded.errors import StackError
from cli.embedded.processes import started_at, working_in
from cli.embedded.stack import Stack
from tests.integration.embedded.watching import pids_of, until

BOTH = ("postgres", "valkey")


def remember(stack: Stack) -> None:
    with psycopg.connect(stack.settings["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")
    with Redis.from_url(stack.settings["REDIS_URL"]) as client:
        client.set("kept", "here")


def remembers(stack: Stack) -> bool:
    with psycopg.connect(stack.settings["DATABASE_URL"]) as connection:
        [row] = connection.execute("SELECT word FROM kept").fetchall()
    with Redis.from_url(stack.settings["REDIS_URL"]) as client:
        return row == ("here",) and client.get("kept") == b"here"


def test_a_second_start_keeps_all_data(tmp_path: Path) -> None:
    with Stack(tmp_path, only=BOTH) as stack:
        remember(stack)
    with Stack(tmp_path, only=BOTH) as stack:
        assert remembers(stack)


def test_a_stop_leaves_no_process_and_no_record_of_one(tmp_path: Path) -> None:
    stack = Stack(tmp_path, only=BOTH).start()
    pids = pids_of(tmp_path)
    assert stack.stop() == 0
    assert len(pids) == 2
    assert not any(started_at(pid) for pid in pids.values())
    assert not (tmp_path / "processes.json").exists()
    assert not (tmp_path / "postgres" / "run").exists()


def test_a_killed_parent_takes_its_parts_along_and_the_next_start_has_all_data(tmp_path: Path) -> None:
    with Stack(tmp_path, only=BOTH) as stack:
        remember(stack)
        time.sleep(1.1)  # Valkey writes its file every second: later than that nothing may be lost
        pids = pids_of(tmp_path)
        os.kill(stack.pid, signal.SIGKILL)
        until(lambda: not any(started_at(pid) for pid in pids.values()))
    with Stack(tmp_path, only=BOTH) as stack:
        assert remembers(stack)


def test_a_process_that_a_killed_parent_left_running_is_stopped_first(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as orphan:
        record = {"valkey": {"pid": orphan.pid, "started": started_at(orphan.pid)}}
        (tmp_path / "processes.json").write_text(json.dumps(record))
        said: list[str] = []
        with Stack(tmp_path, only=["valkey"], on_progress=said.append):
            assert orphan.wait(60) == -signal.SIGINT
    assert "stopped valkey, which an earlier start had left running" in said


def test_a_pid_that_went_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record = {"valkey": {"pid": stranger.pid, "started": "another boot/1"}}
        (tmp_path / "processes.json").write_text(json.dumps(record))
        with Stack(tmp_path, only=["valkey"]):
            assert stranger.poll() is None
        stranger.kill()


def test_a_lock_file_of_postgres_with_a_strangers_pid_is_no_obstacle(tmp_path: Path) -> None:
    with Stack(tmp_path, only=["postgres"]) as stack:
        lock = tmp_path / "postgres" / "cluster" / "postmaster.pid"
        left = lock.read_text()
        assert stack.stop() == 0
    # This very process is alive and no Postgres: as if the pid had been reused.
    lock.write_text(left.replace(left.split("\n", 1)[0], str(os.getpid()), 1))
    with Stack(tmp_path, only=["postgres"]) as stack, psycopg.connect(stack.settings["DATABASE_URL"]):
        pass


def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "cluster.new"
    Stack(tmp_path, only=["postgres"]).start().stop()
    (tmp_path / "postgres" / "cluster").rename(half)
    with Stack(tmp_path, only=["postgres"]) as stack, psycopg.connect(stack.settings["DATABASE_URL"]):
        assert not half.exists()


def test_two_stacks_run_side_by_side(tmp_path: Path) -> None:
    with Stack(tmp_path / "one", only=BOTH) as one, Stack(tmp_path / "two", only=BOTH) as two:
        remember(one)
        remember(two)
        assert remembers(one)
        assert one.settings["REDIS_URL"] != two.settings["REDIS_URL"]


def test_a_second_start_on_the_same_data_names_the_holder(tmp_path: Path) -> None:
    with Stack(tmp_path, only=["valkey"]) as stack, pytest.raises(StackError, match=rf"pid {stack.pid}\)"):
        Stack(tmp_path, only=["valkey"]).start()


def test_nobody_gets_in_without_the_password(servers: Stack) -> None:
    database_url, redis_url = servers.settings["DATABASE_URL"], servers.settings["REDIS_URL"]
    secret = database_url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database_url.replace(secret, "guess"))
    with Redis(port=int(redis_url.rsplit(":", 1)[1].split("/")[0])) as client, pytest.raises(AuthenticationError):
        client.ping()


def test_no_password_shows_on_a_command_line(servers: Stack) -> None:
    secrets = [url.split("@")[0].rsplit(":", 1)[1] for url in servers.settings.values()]
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines for secret in secrets if secret.encode() in line]


def test_durability_is_not_traded_for_speed(servers: Stack) -> None:
    with psycopg.connect(servers.settings["DATABASE_URL"]) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    assert shown == [("on",), ("on",)]
    with Redis.from_url(servers.settings["REDIS_URL"]) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_vectors_are_at_hand(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE EXTENSION vector")
        assert connection.execute("SELECT '[0,3]'::vector <-> '[4,0]'").fetchone() == (5.0,)


def test_a_server_of_ours_replaces_the_embedded_one(tmp_path: Path, servers: Stack) -> None:
    environment = {"REDIS_URL": servers.settings["REDIS_URL"]}
    with Stack(tmp_path, only=BOTH, environment=environment) as stack:
        assert stack.settings["REDIS_URL"] == servers.settings["REDIS_URL"]
        assert list(pids_of(tmp_path)) == ["postgres"]


def test_a_long_path_is_no_obstacle_to_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("long " * 20) / "data"
    with Stack(deep, only=BOTH) as stack:
        remember(stack)
        sockets = Path(_socket_directory(stack))
        assert sockets.stat().st_mode & 0o777 == 0o700
    assert not sockets.exists()


@pytest.mark.parametrize("name", BOTH)
def test_a_server_that_is_killed_comes_back_at_the_same_place(tmp_path: Path, name: str) -> None:
    with Stack(tmp_path, only=BOTH) as stack:
        remember(stack)
        time.sleep(1.1)  # as above: Valkey's second
        killed = pids_of(tmp_path)[name]
        os.kill(killed, signal.SIGKILL)
        until(lambda: pids_of(tmp_path)[name] != killed and _is_up(lambda: remembers(stack)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_runs_everything_as_themselves(tmp_path: Path) -> None:
    # The capability to read lets the user into a virtual environment below root's home, if it is there.
    user = Account("nobody", 65534, 65534, "dac_read_search")
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, user.uid, user.gid)
    command = [*user.command_prefix("SIGTERM"), sys.executable, "-P", "-m", "cli.embedded"]
    arguments = ["--only", "postgres,valkey", "--data-dir", str(home / "data")]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        is_ready = any(line.startswith("ready ") for line in process.stdout)
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids_of(home / "data").values()}
        process.terminate()
        assert process.wait(30) == 0
    assert is_ready
    assert owners == {user.uid}


def test_nothing_works_in_the_cluster_after_a_stop(tmp_path: Path) -> None:
    with Stack(tmp_path, only=["postgres"]):
        assert working_in(tmp_path / "postgres" / "cluster")
    assert working_in(tmp_path / "postgres" / "cluster") == []


def _socket_directory(stack: Stack) -> str:
    with psycopg.connect(stack.settings["DATABASE_URL"]) as connection:
        return connection.info.host


def _is_up(answers: Callable[[], bool]) -> bool:
    try:
        return answers()
    except (psycopg.OperationalError, RedisConnectionError):
        return False
