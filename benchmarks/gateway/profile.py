"""Where our gateway's time goes, sampled while it answers at full rate.

    python -m benchmarks.gateway.profile [--load whole|stream|flushed] [--seconds S] [--system ours|bare]

`flushed` are streams whose every chunk arrives by itself, as those of the 2,000 open streams do.

py-spy, in an environment of its own, reads the process from outside, C code included: it slows the gateway,
so no figure of speed comes of it.
"""

import argparse
import os
import subprocess
import tempfile
import threading
from pathlib import Path

from rich.progress import Progress

from benchmarks.gateway import stacks
from benchmarks.gateway.field import started
from benchmarks.gateway.loads import Loads, require_programs
from benchmarks.gateway.systems import Cores, Manner, System
from benchmarks.gateway.venvs import made_from

LOCK = Path(__file__).parent / "profiler.lock"
SAMPLES_A_SECOND = 100
# before and after the samples, so that all of them are under load
MARGIN_SECONDS = 1


LOADS: dict[str, tuple[Manner, bool]] = {
    "whole": ("at_once", False),
    "stream": ("at_once", True),
    "flushed": ("flushed", True),
}
"""How the upstream answers, and whether it streams."""


def profiled(loads: Loads, system: System, load: str, seconds: float) -> stacks.Stacks:
    """Sample the system's process under load.

    Raises:
        RuntimeError: there is no py-spy to be had, or it may not look into the process.
    """
    py_spy = made_from(LOCK).program("py-spy")
    manner, is_streamed = LOADS[load]
    failures: list[BaseException] = []

    def generate() -> None:
        try:
            loads.rate(system, manner, is_streamed=is_streamed, seconds=seconds + 2 * MARGIN_SECONDS)
        except (RuntimeError, OSError) as error:
            failures.append(error)

    with tempfile.TemporaryDirectory(prefix="ultra-profile-") as directory:
        output = Path(directory) / "stacks"
        generator = threading.Thread(target=generate)
        generator.start()
        generator.join(MARGIN_SECONDS)
        command = [str(py_spy), "record", "--native", "--format", "raw", "--rate", str(SAMPLES_A_SECOND)]
        command += ["--duration", f"{seconds:.0f}", "--output", str(output), "--pid", str(system.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        generator.join()
        if done.returncode or not output.exists():
            raise RuntimeError(f"py-spy: {done.stderr.strip()[-500:]}")
        if failures:
            raise RuntimeError(f"no load to profile under: {failures[0]}")
        return stacks.read(output.read_text().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--load", choices=list(LOADS), default="whole")
    parser.add_argument("--system", choices=["ours", "bare"], default="ours")
    given = parser.parse_args()
    require_programs()
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, {cores.others})
    with (
        tempfile.TemporaryDirectory(prefix="ultra-bench-") as scratch,
        Progress(transient=True) as progress,
        started(Path(scratch), cores, paced_tokens=1, only={given.system}, progress=progress) as field,
    ):
        if not field.systems:
            raise SystemExit("\n".join(field.notes))
        loads = Loads(Path(scratch))
        found = profiled(loads, field.systems[0], given.load, given.seconds)
    print(stacks.markdown(found))


if __name__ == "__main__":
    main()
