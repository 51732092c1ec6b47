"""Packets that are lost between workers and a server, by the kernel's own filter.

Half open: connections that exist go silent for good, as when a firewall forgets them; new ones work. Cut off:
nothing gets through for a while. Neither end is told.
"""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import psutil

from tests.faults.deployment import WORKERS_GROUP, Worker
from tests.faults.field import Field

HALF_OPEN_SECONDS = 32.0
CUT_SECONDS = 25.0
AFTER_A_CUT_SECONDS = 8.0
OF_WORKERS = ("-m", "owner", "--gid-owner", str(WORKERS_GROUP))

Rule = tuple[str, ...]
"""A chain, a device, and what a packet must match."""


async def drop_packets(field: Field, times: int) -> None:
    """By turns: broker and Postgres; connections half open and a whole cut."""
    deployment = field.deployment
    for number in range(times):
        server, port = [("broker", deployment.valkey.port), ("postgres", deployment.postgres.port)][number % 2]
        is_cut = number % 4 >= 2
        field.say(f"{server} {'cut off' if is_cut else 'half open'}: {number + 1} of {times}")
        await field.loaded()
        at = field.injecting()
        if is_cut:
            with _dropping([("OUTPUT", "-o", "lo", "--dport", str(port), *OF_WORKERS)]):
                await asyncio.sleep(CUT_SECONDS)
            field.note(f"{server} cut off", at, over_at=time.time())
            await asyncio.sleep(AFTER_A_CUT_SECONDS)
        else:
            field.note(f"{server} half open", at)
            with _dropping(_existing(deployment.workers, port)):
                await asyncio.sleep(HALF_OPEN_SECONDS)


def _existing(workers: Iterable[Worker], port: int) -> list[Rule]:
    """Rules for both directions of each connection that the workers have now."""
    ours = _connected([worker.pid for worker in workers if worker.is_alive], port)
    there = [("INPUT", "-i", "lo", "--sport", str(one), "--dport", str(port)) for one in ours]
    back = [("INPUT", "-i", "lo", "--sport", str(port), "--dport", str(one)) for one in ours]
    return [*there, *back]


@contextmanager
def _dropping(rules: Sequence[Rule]) -> Iterator[None]:
    """Packets that a rule matches are lost inside."""
    added = []
    try:
        for rule in rules:
            _iptables("-I", rule)
            added.append(rule)
        yield
    finally:
        for rule in added:
            _iptables("-D", rule)


def _iptables(what: str, rule: Rule) -> None:
    chain, *device, last = rule[0], *rule[1:3], rule[3:]
    subprocess.run(
        ["iptables", "-w", what, chain, *device, "-p", "tcp", *last, "-j", "DROP"], check=True, capture_output=True
    )


def _connected(pids: list[int], port: int) -> list[int]:
    """The local ports from which these processes have connections to a port."""
    found = set()
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections(kind="tcp")
        except psutil.Error:
            continue
        found |= {one.laddr.port for one in connections if one.raddr and one.raddr.port == port}
    return sorted(found)


def lacks() -> str | None:
    """Why packets cannot be lost here; None if they can."""
    if shutil.which("iptables") is None:
        return "iptables is not installed"
    probe = subprocess.run(["iptables", "-w", "-L", "INPUT", "-n"], check=False, capture_output=True)
    return None if probe.returncode == 0 else "iptables may not be used (not root?)"
