import os
from pathlib import Path

import pytest

from cli.embedded.datadir import DataDir, default_data_dir, write_private
from cli.embedded.errors import CannotStart


def test_a_second_holder_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with (
        DataDir(tmp_path / "d").locked(),
        pytest.raises(CannotStart, match=rf"pid {os.getpid()}\).*--data-dir"),
        DataDir(tmp_path / "d").locked(),
    ):
        pass


def test_the_directory_is_free_again_after_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with DataDir(tmp_path / "d").locked():
            assert (tmp_path / "d" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CannotStart, match=r"Cannot write to the data directory .*file/d .*--data-dir"),
        DataDir(tmp_path / "file" / "d").locked(),
    ):
        pass


def test_what_is_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "d")
    with data.locked():
        data.secret("postgres")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (data.path, *data.path.iterdir())}
    assert modes == {"d": 0o700, "logs": 0o700, "valkey": 0o700, "lock": 0o600, "secrets.json": 0o600}


def test_a_password_is_made_once_and_each_has_its_own(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    first = data.secret("postgres")
    assert data.secret("valkey") != first
    assert DataDir(tmp_path).secret("postgres") == first
    assert len(first) >= 32


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with DataDir(tmp_path).locked():
        assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("first, longer", "second"):
        write_private(tmp_path / "file", text)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["second"]


def test_the_default_is_where_xdg_says() -> None:
    assert default_data_dir({"XDG_DATA_HOME": "/data"}) == Path("/data/ultrallm")
    assert default_data_dir({}) == Path.home() / ".local/share/ultrallm"
