"""A Docker engine of a test's own, to be killed: the machine's other engine, which others use, never notices.

It has folders, a socket, a namespace in containerd and a bridge of its own: told to have no bridge, or which addresses
to choose from, it would remove `docker0`. It leaves the machine's packet filter alone, for two engines take each
other's rules away; so its containers are reached by their addresses, from here.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# An engine that does not leave its containers running has them drain before it answers.
PATIENCE_SECONDS = 60


class OwnEngine:
    """`start` it, `kill` it, and `start` it again: it is the same engine, with the same containers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._bridge = f"ultra{os.getpid()}"
        self._namespace = f"ultra-test-{os.getpid()}"
        self.host = f"unix://{self._socket}"

    def start(self, *, keeps_containers: bool = False) -> None:
        """Containers that ran when it died run on, or are told to stop before it answers, as Docker does it.

        It ends with whoever started it, by which Linux means the thread: call it from one that stays.
        """
        self._pid_file.unlink(missing_ok=True)
        if not Path("/sys/class/net", self._bridge).exists():
            _ip("link", "add", "name", self._bridge, "type", "bridge")
            _ip("address", "add", f"10.212.{os.getpid() % 256}.1/24", "dev", self._bridge)
        settings = self._folder / "daemon.json"
        settings.write_text(json.dumps(self._settings(keeps_containers=keeps_containers)))
        command = ["setpriv", "--pdeathsig", "TERM", "dockerd", "--config-file", str(settings)]
        with (self._folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait(self) -> None:
        """Returns when it answers."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no engine came up:\n{self.log()[-4000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """As the kernel does it; its containerd too, unless that is the machine's."""
        assert self._process is not None
        containerd = self._containerd()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        if containerd is not None:
            with suppress(ProcessLookupError):  # it was told to die with its engine
                os.kill(containerd, signal.SIGKILL)
            _wait_until_buried(containerd)

    def load(self, image: str) -> None:
        """Give it an image of the machine's engine."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
            subprocess.run(
                self._command("load", "-q"), stdin=saving.stdout, check=True, capture_output=True, timeout=120
            )
        assert saving.returncode == 0

    def docker(self, *arguments: str) -> Sequence[str]:
        """Runs the command; returns the lines that it writes."""
        done = subprocess.run(self._command(*arguments), check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.splitlines()

    def processes(self) -> list[int]:
        """Those that watch over its containers' own, whether it knows of them or not."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                said = (folder / "cmdline").read_text()
                if "containerd-shim" in said and self._namespace in said.split("\0"):
                    found.append(int(folder.name))
        return found

    def clear(self) -> None:
        """It lives, and has no container, and no network but Docker's own."""
        if self._process is not None and self._process.poll() is not None:
            self.start()
            self.wait()
        if containers := self.docker("ps", "-aq"):
            self.docker("rm", "-f", "-v", *containers)
        if networks := self.docker("network", "ls", "-q", "--filter", "type=custom"):
            self.docker("network", "rm", *networks)

    def remove(self) -> None:
        """End it, with everything that it ever made."""
        assert self._process is not None
        self.clear()
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        mounts = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.is_relative_to(self._folder)]):
            subprocess.run(["umount", "--lazy", mount], check=True, timeout=10)
        shutil.rmtree(self._folder)
        _ip("link", "delete", self._bridge)

    def change(self, container: str, **state: object) -> None:
        """Write into what it keeps of a container's state, while it is down: as if it had died over it."""
        [file] = self._folder.glob(f"data/containers/{container}*/config.v2.json")
        kept = json.loads(file.read_text())
        kept["State"] |= state
        file.write_text(json.dumps(kept))

    def log(self) -> str:
        return (self._folder / "dockerd.log").read_text()

    def _settings(self, *, keeps_containers: bool) -> dict[str, object]:
        return {
            "data-root": str(self._folder / "data"),
            "exec-root": str(self._folder / "run"),
            "pidfile": str(self._pid_file),
            "hosts": [self.host],
            "containerd-namespace": self._namespace,
            "bridge": self._bridge,
            "iptables": False,
            "ip-forward": False,
            "live-restore": keeps_containers,
        }

    @property
    def _pid_file(self) -> Path:
        return self._folder / "dockerd.pid"

    def _containerd(self) -> int | None:
        """The process of the containerd that it has started, if it has."""
        try:
            pid = int((self._folder / "run" / "containerd" / "containerd.pid").read_text())
            is_ours = str(self._folder) in Path(f"/proc/{pid}/cmdline").read_text()
        except FileNotFoundError:
            return None
        return pid if is_ours else None

    def _answers(self) -> bool:
        try:
            asked = subprocess.run(self._command("version"), check=False, capture_output=True, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0

    def _command(self, *arguments: str) -> list[str]:
        return ["docker", "--host", self.host, *arguments]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)


def _wait_until_buried(process: int) -> None:
    """Somebody else's child: until its parent has seen to it, an engine that starts takes it for alive."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline, f"process {process} was killed, and is still there"
        time.sleep(0.05)
