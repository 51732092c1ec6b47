"""Values that follow their files."""

import asyncio
import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from common.reloading import Reloaded


def number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        raise ConfigError(f"{path.name}:1: is no number") from None


def reloaded(path: Path, text: str = "1") -> Reloaded[int]:
    path.write_text(text)
    return Reloaded(lambda: number(path), [path])


def test_the_first_value_must_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        reloaded(tmp_path / "n", "one")


def test_an_edit_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "n"
    value = reloaded(path)
    path.write_text("22")
    value.look()
    assert value.value == value.current() == 22


def test_an_untouched_file_is_read_once(tmp_path: Path) -> None:
    path, reads = tmp_path / "n", []
    path.write_text("1")
    value = Reloaded(lambda: reads.append(path), [path])
    for _ in range(3):
        value.look()
    assert len(reads) == 1


def test_a_broken_edit_keeps_the_value_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "n"
    value = reloaded(path)
    path.write_text("two")
    for _ in range(3):
        value.look()
    assert value.value == 1
    assert value.fault == "n:1: is no number"
    [told] = caplog.records
    assert (told.levelno, told.getMessage()) == (
        logging.ERROR,
        "n:1: is no number; what was in force before stays so",
    )


def test_the_next_good_edit_clears_the_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "n"
    value = reloaded(path)
    path.write_text("two")
    value.look()
    path.write_text("3")
    with caplog.at_level(logging.INFO, "common.reloading"):
        value.look()
    assert (value.value, value.fault) == (3, None)
    assert caplog.records[-1].getMessage() == f"{path}: changed, and in force"


def test_a_file_that_is_gone_is_a_broken_edit_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "n"
    value = reloaded(path)
    path.rename(tmp_path / "aside")
    value.look()
    assert (value.value, value.fault) == (1, "n:1: is no number")
    (tmp_path / "aside").rename(path)
    value.look()
    assert (value.value, value.fault) == (1, None)


def test_a_file_of_the_same_size_and_time_that_was_moved_here_is_another(tmp_path: Path) -> None:
    path, other = tmp_path / "n", tmp_path / "other"
    value = reloaded(path)
    other.write_text("2")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)
    value.look()
    assert value.value == 2


def test_a_link_that_is_moved_as_kubernetes_does_it_is_followed(tmp_path: Path) -> None:
    for version, text in (("v1", "1"), ("v2", "2")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "n").write_text(text)
    (tmp_path / "..data").symlink_to("v1")
    path = tmp_path / "n"
    path.symlink_to("..data/n")
    value = Reloaded(lambda: number(path), [path])
    (tmp_path / "..tmp").symlink_to("v2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    value.look()
    assert value.value == 2


def test_a_fault_of_our_own_loader_is_told_like_any_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "n"
    path.write_text("4")
    value = Reloaded(lambda: 12 // int(path.read_text()), [path])
    path.write_text("0")
    value.look()
    assert value.value == 3
    assert value.fault is not None
    assert "ZeroDivisionError" in value.fault


def test_a_file_that_is_written_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "n"
    path.write_text("1")
    interruptions = ["333"]

    def load() -> int:
        found = number(path)
        if found == 22 and interruptions:
            path.write_text(interruptions.pop())
        return found

    value = Reloaded(load, [path])
    path.write_text("22")
    value.look()
    assert value.value == 1
    value.look()
    assert value.value == 333


def test_what_is_made_from_another_value_follows_it(tmp_path: Path) -> None:
    path, other = tmp_path / "n", tmp_path / "factor"
    factor = reloaded(other, "10")
    path.write_text("2")
    product = Reloaded(lambda: number(path) * factor.value, [path], after=factor)
    other.write_text("100")
    product.look()
    assert product.value == 20  # the other has not looked yet
    factor.look()
    product.look()
    assert product.value == 200


async def see_an_edit(directory: Path) -> None:
    """Wait until one that keeps looking has seen an edit of its file."""
    path = directory / "n"
    path.write_text("1")
    loop, seen = asyncio.get_running_loop(), asyncio.Event()

    def load() -> int:
        found = number(path)
        if found == 2:
            loop.call_soon_threadsafe(seen.set)
        return found

    value = Reloaded(load, [path])
    keeping = asyncio.create_task(value.keep())
    path.write_text("2")
    async with asyncio.timeout(20):
        await seen.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_keeping_looks_by_itself(tmp_path: Path) -> None:
    await see_an_edit(tmp_path)


class FullMachine(ThreadPoolExecutor):
    """Has no thread for whoever asks first."""

    has_refused = False

    def submit(self, *given: Any, **named: Any) -> "Future[Any]":
        if not self.has_refused:
            self.has_refused = True
            raise RuntimeError("can't start new thread")
        return super().submit(*given, **named)


async def test_a_look_for_which_there_was_no_thread_is_not_the_last(tmp_path: Path) -> None:
    threads = FullMachine(max_workers=1)
    asyncio.get_running_loop().set_default_executor(threads)
    await see_an_edit(tmp_path)
    assert threads.has_refused
