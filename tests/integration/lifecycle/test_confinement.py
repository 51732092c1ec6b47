"""What code that runs in a model's container can reach: `trust_remote_code` is one setting away."""

import subprocess
from urllib.parse import urlsplit

import pytest

from tests.integration.lifecycle.station import Station

pytestmark = pytest.mark.docker


def inside(container: str, code: str) -> str:
    """Runs Python code in the container; what it writes, or its last line of complaint."""
    done = subprocess.run(
        ["docker", "exec", container, "python3", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    return (done.stdout or done.stderr).strip().rpartition("\n")[2]


def connects(container: str, host: str, port: int) -> str:
    return inside(container, f"import socket; socket.create_connection(({host!r}, {port}), 3); print('connected')")


@pytest.fixture
async def container(station: Station) -> str:
    model = station.has("a")
    station.start_worker()
    return str((await station.ready(model))["container"])


async def test_it_is_not_root_and_gains_nothing(container: str) -> None:
    assert inside(container, "import os; print(os.getuid(), os.getgid())") == "10001 10001"
    effective = inside(container, "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')])")
    assert effective == "['0000000000000000']"
    privileges = inside(container, "print([l.split()[1] for l in open('/proc/self/status') if 'NoNewPrivs' in l])")
    assert privileges == "['1']"


async def test_it_can_write_to_its_own_tmp_and_nowhere_else(container: str) -> None:
    assert inside(container, "print(open('/tmp/x', 'w').write('12'))") == "2"
    for path in ("/x", "/models/model/x", "/etc/passwd", "/server.py"):
        assert "Error" in inside(container, f"open({path!r}, 'w')"), path


async def test_it_reaches_neither_the_internet_nor_the_servers_of_its_host_nor_the_engine(
    container: str, redis_url: str
) -> None:
    for host, port in (("1.1.1.1", 443), ("8.8.8.8", 53)):
        assert connects(container, host, port) != "connected"
    assert "resolution" in inside(container, "import socket; socket.getaddrinfo('example.org', 443)")
    gateway = inside(
        container,
        "import socket, struct; rows = [l.split() for l in open('/proc/net/route')][1:];"
        "print(socket.inet_ntoa(struct.pack('<L', int(rows[0][1], 16) + (1 << 24))))",
    )
    for host in ("127.0.0.1", gateway):
        assert connects(container, host, urlsplit(redis_url).port or 0) != "connected"
    assert inside(container, "import os; print(os.path.exists('/var/run/docker.sock'))") == "False"
