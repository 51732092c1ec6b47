"""Which traces are sampled, and how much of the SDK's complaints is heard."""

import logging

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from common.ids import uuid7
from common.telemetry.exporting import EvenSampler, Seldom


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 1.0])
def test_of_jobs_as_many_are_sampled_as_of_anything_else(share: float) -> None:
    sampler = EvenSampler(TraceIdRatioBased(share))
    sampled = [sampler.should_sample(None, uuid7().int, "").decision for _ in range(4000)]

    assert sampled.count(Decision.RECORD_AND_SAMPLE) / 4000 == pytest.approx(share, abs=0.05)


def test_of_many_complaints_one_is_heard() -> None:
    complaint = logging.LogRecord("exporter", logging.ERROR, "", 0, "away", None, None)
    seldom = Seldom()

    assert [seldom.filter(complaint) for _ in range(3)] == [True, False, False]
