"""The fault matrix: what is done, how often, and when a row passes."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults import checker, kills, network, outages, upstreams
from tests.faults.checker import Invariant
from tests.faults.deployment import Shape
from tests.faults.field import Field
from tests.faults.history import History

Do = Callable[[Field, int], Awaitable[None]]
# Rows whose workers die by the dozen: a call that is unlucky often is not to be taken for poison.
PATIENT = {"ULTRA_MAX_ATTEMPTS": "20"}
# Rows in which workers are stopped softly: every call ends well within the drain time, so nothing need be run again.
PATIENT_DRAIN = {"ULTRA_DRAIN_SECONDS": "10"}
CALLS_IN_FLIGHT = 520


def nothing_to_time(history: History) -> list[float]:
    """What is done in this row leaves nothing to recover from."""
    return []


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `times` in the whole matrix, `sample` in CI's. `recovery` is what is measured of each fault, in seconds; its p99
    is held against `limit_seconds`. `lacks` says why this machine cannot do it.
    """

    name: str
    do: Do
    times: int
    sample: int
    limit_seconds: float = math.inf
    recovery: Callable[[History], list[float]] = nothing_to_time
    more: tuple[Invariant, ...] = ()
    shape: Shape = field(default_factory=Shape)
    in_flight: int = CALLS_IN_FLIGHT
    readers_a_job: float = 0.3
    small_disk: str | None = None
    lacks: Callable[[], str | None] = lambda: None


def lacks_faketime() -> str | None:
    return None if kills.faketime() else "libfaketime is not installed"


MATRIX = (
    Row(
        "kill -9 a random worker process",
        kills.kill_workers,
        times=100,
        sample=6,
        limit_seconds=30,
        recovery=checker.rescues,
        more=(checker.nothing_dead_lettered, checker.everything_completed),
        shape=Shape(environment=PATIENT),
    ),
    Row(
        "kill -9 at named points, each",
        kills.kill_at_points,
        times=50,
        sample=1,
        limit_seconds=30,
        recovery=checker.rescues,
        more=(checker.nothing_dead_lettered, checker.everything_completed),
        # short answers: no worker lives for long here, and a trap is passed when a call or a round is done
        shape=Shape(latency=(1.0, 2.0), environment=PATIENT),
    ),
    Row(
        "broker restart",
        outages.restart_broker,
        times=20,
        sample=2,
        limit_seconds=30,
        recovery=checker.resumptions,
        more=(checker.everything_completed,),
    ),
    Row(
        "FLUSHALL",
        outages.flush_broker,
        times=5,
        sample=1,
        limit_seconds=30,
        recovery=checker.resumptions,
        more=(checker.everything_completed,),
    ),
    Row(
        "Postgres restart, immediate mode",
        outages.restart_postgres,
        times=10,
        sample=2,
        limit_seconds=30,
        recovery=checker.resumptions,
        more=(checker.everything_completed,),
    ),
    Row(
        "worker frozen past its lease, then continued",
        kills.freeze_workers,
        times=50,
        sample=4,
        limit_seconds=30,
        recovery=checker.rescues,
        more=(checker.everything_completed, kills.late_writes_came),
        shape=Shape(environment=PATIENT | {"ULTRA_LEASE_SECONDS": "5"}),
    ),
    Row(
        "API killed under 1,000 SSE readers",
        outages.kill_api,
        times=10,
        sample=1,
        limit_seconds=30,
        recovery=checker.resumptions,
        more=(checker.everything_completed,),
        readers_a_job=3,
    ),
    Row(
        "half-open network, workers to broker and Postgres",
        network.drop_packets,
        times=10,
        sample=2,
        limit_seconds=60,
        recovery=checker.resumptions,
        more=(checker.everything_completed,),
        lacks=network.lacks,
    ),
    Row(
        "upstream hangs, resets, trickles",
        upstreams.misbehave,
        times=50,
        sample=12,
        more=(checker.everything_completed, upstreams.stand_ins_answered, upstreams.circuits_opened),
        shape=Shape(environment={"ULTRA_CALL_TIMEOUT_SECONDS": str(upstreams.CALL_SECONDS)}),
    ),
    Row(
        "disk full for Postgres",
        outages.fill_postgres,
        times=3,
        sample=1,
        limit_seconds=30,
        recovery=checker.resumptions,
        more=(checker.everything_completed, outages.submissions_were_refused),
        small_disk="postgres",
    ),
    Row(
        "disk full for Valkey",
        outages.fill_valkey,
        times=3,
        sample=1,
        limit_seconds=30,
        recovery=checker.resumptions,
        more=(checker.everything_completed,),
        small_disk="valkey",
    ),
    Row(
        "one worker's clock 5 minutes off",
        kills.wrong_clock,
        times=3,
        sample=1,
        more=(checker.everything_completed, checker.nothing_rerun),
        shape=Shape(environment=PATIENT_DRAIN),
        lacks=lacks_faketime,
    ),
    Row(
        "deployment: soft stop of every worker",
        kills.deploy,
        times=10,
        sample=1,
        more=(checker.everything_completed, checker.nothing_rerun),
        shape=Shape(latency=(2.5, 3.5), environment=PATIENT_DRAIN),
    ),
    Row(
        "poison call that kills its worker",
        kills.poison,
        times=3,
        sample=1,
        more=(kills.poison_is_dead_lettered,),
    ),
)
