"""Where a warm `/inference` spends its time: read from the rows of its jobs, on the one clock of this machine.

A row's times are those at which the statement that wrote them began, so a stage begins with a commit.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.fleet.ours import Ours

_TIMES = """
    SELECT j.id::text, extract(epoch FROM j.created_at)::float8, extract(epoch FROM j.started_at)::float8,
           extract(epoch FROM c.started_at)::float8, extract(epoch FROM c.finished_at)::float8,
           extract(epoch FROM j.finished_at)::float8, (c.answer ->> 'latency_ms')::float8 / 1000
    FROM jobs j JOIN calls c ON c.job_id = j.id
    WHERE j.id = ANY(%s::uuid[])
"""
STAGES = (
    "API: read, checked, about to be stored",
    "stored; the broker rung; local worker: loaded, replayed, its round about to be stored",
    "stored; the call about to be claimed",
    "claimed; a slot taken; the answer read to its end, about to be recorded; without the model's own time",
    "the model's own time",
    "recorded; the job advanced: loaded, replayed, its result about to be stored",
    "stored; the event read by the API; the job loaded, shown, sent",
)


@dataclass(frozen=True, slots=True)
class Trip:
    """One `/inference`: its job, and Unix times of its caller's."""

    job_id: str
    asked_at: float
    answered_at: float


class Times(NamedTuple):
    """Of a job's rows, as Unix times, and how long the model took, in seconds."""

    stored: float
    begun: float
    claimed: float
    recorded: float
    ended: float
    model_seconds: float


def of(trip: Trip, times: Times) -> list[float]:
    """The seconds of each stage; together they are the trip."""
    around_the_model = times.recorded - times.claimed - times.model_seconds
    return [
        times.stored - trip.asked_at,
        times.begun - times.stored,
        times.claimed - times.begun,
        around_the_model,
        times.model_seconds,
        times.ended - times.recorded,
        trip.answered_at - times.ended,
    ]


def read(ours: Ours, trips: Sequence[Trip]) -> list[list[float]]:
    """The stages of each trip."""
    rows = ours.query(_TIMES, [trip.job_id for trip in trips])
    times = {job_id: Times(*taken) for job_id, *taken in rows}
    return [of(trip, times[trip.job_id]) for trip in trips]


def markdown(taken: Iterable[Sequence[float]]) -> str:
    """Medians: they need not add up to the median trip."""
    lines = ["| stage of a warm `/inference` | ms |", "| --- | --- |"]
    for stage, seconds in zip(STAGES, zip(*taken, strict=True), strict=True):
        lines.append(f"| {stage} | {1000 * statistics.median(seconds):.2f} |")
    return "\n".join(lines)
