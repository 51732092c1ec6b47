"""Which ports are free, asked by binding to them."""

import errno
import socket

from cli.embedded.errors import CannotStart

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def claimable_port(host: str, port: int) -> int:
    """The port, found free; or a free one, for 0.

    Raises:
        CannotStart: somebody listens there, or this machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections that a stopped server left in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(f"Port {port} on {host} is taken: choose another with --port.") from error
        raise CannotStart(
            f"Cannot listen on {host} port {port} ({error.strerror}): choose others with --host and --port."
        ) from error
