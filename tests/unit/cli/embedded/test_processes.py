import json
import os
import subprocess
from pathlib import Path

from cli.embedded.orphans import record, stop_recorded
from cli.embedded.processes import started_at, wait_until_gone


def test_a_process_has_one_mark_for_as_long_as_it_lives() -> None:
    assert started_at(os.getpid())
    assert started_at(os.getpid()) == started_at(os.getpid())


def test_an_ended_process_has_no_mark_even_before_it_is_reaped() -> None:
    process = subprocess.Popen(["true"])
    assert wait_until_gone([process.pid], 10) == []
    assert process.wait() == 0


def test_a_process_that_goes_on_is_told_when_the_time_is_up() -> None:
    assert wait_until_gone([os.getpid()], 0.05) == [os.getpid()]


def test_what_is_recorded_is_found_and_stopped(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as left:
        record(tmp_path / "processes.json", {"valkey": left.pid})
        assert stop_recorded(tmp_path / "processes.json") == ["valkey"]
        assert left.wait() < 0
    assert not (tmp_path / "processes.json").exists()


def test_a_record_that_was_cut_off_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text(json.dumps({"valkey": {"pid": 1}})[:-4])
    assert stop_recorded(tmp_path / "processes.json") == []
