"""Where our Python processes spend their time: flame graphs by py-spy, if it is installed.

`py-spy` is no dependency: `uv tool install py-spy`, or any other way to have it on the PATH.
"""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SAMPLES_A_SECOND = 200
WRITE_SECONDS = 60


@contextmanager
def sampled(pids: Mapping[str, int], directory: Path) -> Iterator[None]:
    """Sample these processes for the time of the block; leaves `NAME.svg` for each.

    Only threads that hold the GIL count: what they wait for costs no time of ours.

    Raises:
        FileNotFoundError: there is no py-spy.
    """
    if shutil.which("py-spy") is None:
        raise FileNotFoundError("--profile needs py-spy on the PATH")
    directory.mkdir(parents=True, exist_ok=True)
    samplers = [_start(pid, directory / f"{name}.svg") for name, pid in pids.items()]
    try:
        yield
    finally:
        for sampler in samplers:
            sampler.send_signal(signal.SIGINT)  # py-spy writes its graph then
        for sampler in samplers:
            sampler.wait(WRITE_SECONDS)


def _start(pid: int, graph: Path) -> "subprocess.Popen[bytes]":
    command = ["py-spy", "record", "--gil", "--rate", str(SAMPLES_A_SECOND), "--pid", str(pid)]
    return subprocess.Popen(
        [*command, "--output", str(graph)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
