import os
import resource
from pathlib import Path

import pytest

from cli.embedded import logs


def write(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_each_start_turns_the_log_over_and_four_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    for start in range(6):
        write(logs.open_log(log), f"start {start}\n")
    kept = [path.read_text().strip() for path in (log, *(tmp_path / f"api.log.{n}" for n in (1, 2, 3)))]
    assert kept == ["start 5", "start 4", "start 3", "start 2"]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_log_that_grew_too_long_is_cut_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 10)
    log = tmp_path / "api.log"
    descriptor = logs.open_log(log)
    os.write(descriptor, b"a long first line\n")
    logs.bound(log)
    write(descriptor, "second\n")
    assert log.read_text() == "second\n"
    assert (tmp_path / "api.log.1").read_text() == "a long first line\n"


def test_a_log_that_cannot_be_copied_is_cut_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason to stop the stack; here it is full at 20 bytes."""
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 10)
    log = tmp_path / "api.log"
    log.write_text("a line that is longer than the disk\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        logs.bound(log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.read_text() == ""


def test_the_tail_is_the_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("one\ntwo\n\nthree\n\n")
    assert logs.tail(log, 2) == ["two", "three"]


def test_a_log_that_is_not_there_has_no_tail(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "none.log", 5) == []


def test_a_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    write(logs.open_log(log), "")
    assert log.stat().st_mode & 0o777 == 0o600
