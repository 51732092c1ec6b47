"""Whether a part serves: small questions asked every few milliseconds, with nothing imported for them."""

import asyncio
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

from cli.embedded.part import Probe
from common.presence import CONSUMES, WORKERS_KEY, worker_key

PROBE_SECONDS = 2.0
POSTGRES_PROTOCOL = 3 << 16


def http_ok(host: str, port: int, path: str) -> Probe:
    """Ready when `GET path` answers 200."""
    name = f"[{host}]" if ":" in host else host
    request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()

    async def ask() -> bool:
        async with asyncio.timeout(PROBE_SECONDS):
            answer = await _converse(*await asyncio.open_connection(host, port), request)
        return answer.split(b" ", 2)[1:2] == [b"200"]

    return _false_while_away(ask)


def valkey_pong(host: str, port: int, password: str) -> Probe:
    """Ready when the server knows the password and has loaded its data."""
    return _valkey(host, port, password, "PING", lambda answer: b"+PONG" in answer)


def worker_consumes(host: str, port: int, password: str, kind: str, node: str) -> Probe:
    """Ready when a worker of this kind and node has proved that it consumes (`worker/canary.py`)."""
    name = re.compile(rf"{kind}\.\d+@{re.escape(node)}")
    # the records of all names, in one question
    question = f"SORT {WORKERS_KEY} BY nosort GET {worker_key('*')}"

    def says_yes(answer: bytes) -> bool:
        records = [json.loads(line) for line in answer.split(b"\r\n") if line.startswith(b"{")]
        return any(name.fullmatch(record["name"]) and record.get(CONSUMES) for record in records)

    return _valkey(host, port, password, question, says_yes)


def postgres_asks_for_password(socket: Path, user: str, database: str) -> Probe:
    """Ready when a startup packet is answered by `R`, authentication; while it recovers, the answer is an error.

    (PostgreSQL documentation, "Message Formats": StartupMessage.)
    """
    names = b"\0".join(word.encode() for word in ("user", user, "database", database)) + b"\0\0"
    packet = struct.pack("!ii", 8 + len(names), POSTGRES_PROTOCOL) + names

    async def ask() -> bool:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(packet)
                return await reader.read(1) == b"R"
            finally:
                writer.close()

    return _false_while_away(ask)


def _valkey(host: str, port: int, password: str, command: str, says_yes: Callable[[bytes], bool]) -> Probe:
    request = f"AUTH {password}\r\n{command}\r\nQUIT\r\n".encode()

    async def ask() -> bool:
        async with asyncio.timeout(PROBE_SECONDS):
            answer = await _converse(*await asyncio.open_connection(host, port), request)
        return says_yes(answer)

    return _false_while_away(ask)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def _false_while_away(ask: Probe) -> Probe:
    async def probe() -> bool:
        try:
            return await ask()
        except (OSError, TimeoutError):
            return False

    return probe
