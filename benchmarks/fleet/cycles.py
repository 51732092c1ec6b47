"""Start and stop, over and over: what is left behind."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import psutil
import redis

from benchmarks.cpu import tree
from benchmarks.fleet import engine
from benchmarks.fleet.figures import Left
from benchmarks.fleet.ours import Ours

# A pool may open one more connection when two statements happen to meet: that is no leak, one a cycle would be.
MORE_CONNECTIONS = 2
# An allocator takes memory in pieces.
MORE_MEGABYTES = 2


class Count(NamedTuple):
    """How much there is of something, and how much more there may be afterwards."""

    name: str
    unit: str
    number: float
    more: float


def measured(ours: Ours, cycles: int, step: Callable[[], None]) -> list[Left]:
    """What there is more of after so many cycles. The model is stopped before and after, and has run before."""
    before = list(_census(ours))
    for _ in range(cycles):
        ours.run()
        ours.stop()
        step()
    after = _census(ours)
    return [Left(was.name, was.unit, was.number, now.number, was.more) for was, now in zip(before, after, strict=True)]


def _census(ours: Ours) -> Iterator[Count]:
    of_ours = ("--filter", engine.labelled(ours.installation))
    yield Count("containers of ours", "", len(ours.containers()), 0)
    yield Count("networks of ours", "", len(engine.docker("network", "ls", "--quiet", *of_ours)), 0)
    # a container's anonymous volumes carry no label
    yield Count("volumes of the engine", "", len(engine.docker("volume", "ls", "--quiet")), 0)
    [[connections]] = ours.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ultrallm'")
    yield Count("connections to Postgres", "", connections, MORE_CONNECTIONS)
    with redis.Redis.from_url(ours.redis_url) as client:
        yield Count("connections to Valkey", "", client.info("clients")["connected_clients"], MORE_CONNECTIONS)
    for name, pid in ours.processes.pids.items():
        processes = tree(pid)
        yield Count(name, "MB", _megabytes(processes), MORE_MEGABYTES)
        yield Count(name, "open files", sum(one.num_fds() for one in processes), MORE_CONNECTIONS)
        yield Count(name, "threads", sum(one.num_threads() for one in processes), 1)


def _megabytes(processes: Sequence[psutil.Process]) -> float:
    """Memory that is theirs alone: what they share with each other and with the page cache is nobody's leak."""
    return float(sum(one.memory_full_info().uss for one in processes)) / 2**20
