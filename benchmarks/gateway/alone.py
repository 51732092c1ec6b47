"""One client, one connection, one request after the other: how long until the first word, and until the end.

    python -m benchmarks.gateway.alone --port P --request FILE --seconds S

A blocking socket: nothing of an event loop is in the times. Prints milliseconds as JSON.
"""

import argparse
import json
import re
import socket
import statistics
import time
from pathlib import Path

from benchmarks.gateway.answers import FIRST_WORD

# what a process does the first times is not what it does
WARM_UP = 50
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\r\n", re.IGNORECASE)


class Client:
    """One keep-alive connection.

    Raises:
        ConnectionError: from `ask`, if the other side hangs up.
        RuntimeError: from `ask`, if the answer is not a 200 with our word in it.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, raw: bytes) -> tuple[float, float, bytes]:
        """Seconds to the first word, seconds to the end, and all that came."""
        word = FIRST_WORD.encode()
        received = b""
        first = 0.0
        began = time.perf_counter()
        self._socket.sendall(raw)
        while not first or not _is_whole(received):
            part = self._socket.recv(1 << 18)
            if not part:
                raise ConnectionError(f"hung up after {received[:500]!r}")
            received += part
            if not first and word in received:
                first = time.perf_counter() - began
            if not received.startswith(b"HTTP/1.1 200"[: len(received)]) or (not first and _is_whole(received)):
                raise RuntimeError(f"answered {received[:500]!r}")
        return first, time.perf_counter() - began, received

    def close(self) -> None:
        self._socket.close()


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    raw = given.request.read_bytes()
    client = Client(given.port)
    for _ in range(WARM_UP):
        client.ask(raw)
    firsts, ends = [], []
    deadline = time.perf_counter() + given.seconds
    while time.perf_counter() < deadline:
        first, end, _ = client.ask(raw)
        firsts.append(first)
        ends.append(end)
    client.close()
    times = {"first_ms": statistics.median(firsts) * 1000, "end_ms": statistics.median(ends) * 1000}
    print(json.dumps({"requests": len(ends), **times}))


if __name__ == "__main__":
    main()
