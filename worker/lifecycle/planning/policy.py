"""The numbers of a plan. Seconds and bytes; tests choose others."""

from dataclasses import dataclass

from common.catalog.local import MIB
from common.fleet.contracts import NODE_LOST_SECONDS


@dataclass(frozen=True, slots=True)
class Policy:
    """Each number is a promise to somebody: why it is so much stands beside it."""

    # what a container takes beyond its processes, and a CUDA context beyond what its runner tells of
    host_margin_bytes: int = 64 * MIB
    gpu_margin_bytes: int = 512 * MIB
    # an idle instance is left alone for so long: those it was started for are on their way to it
    settle_seconds: float = 5
    # who waits for room lets smaller ones pass for so long, and then nobody
    patience_seconds: float = 30
    # two loads share a disk better than ten; a GPU takes one
    host_loads: int = 2
    # after the n-th failure in a row it waits first * 2^(n-1), and no more than the last
    first_backoff_seconds: float = 1
    last_backoff_seconds: float = 300
    # so many failures in a row are an answer to those who wait
    failures_to_give_up: int = 3
    # who was ready for so long has recovered: its next failure is a first one
    healthy_seconds: float = 60
    # a ready runner answers /health even at work
    silence_seconds: float = 20
    # containers that nobody wants are removed on no older observation than this
    fresh_seconds: float = 10
    orphan_drain_seconds: float = 10
    # its models are others' to start
    node_lost_seconds: float = NODE_LOST_SECONDS


POLICY = Policy()
