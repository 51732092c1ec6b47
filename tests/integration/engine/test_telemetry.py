"""What a collector hears of a job: one trace, of API and workers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.settings import Settings
from tests.integration.api.serving import serving
from tests.integration.collector import Collector, collecting
from tests.integration.engine.stack import Workers

FLAKY = """\
defaults: {models: [mock-flaky]}
models:
  mock-flaky: {parameters: {extra: {error: unavailable, fail_attempts: 1}}}
"""
ASKED = {"prompt": "Why is the sky blue?", "models": ["mock-a", "mock-b"], "options": {"merge": False}}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def settings(postgres_url: str, redis_url: str, collector: Collector) -> Settings:
    return Settings(database_url=postgres_url, redis_url=redis_url, otel_exporter_otlp_endpoint=collector.url)


async def test_a_job_is_one_trace_across_the_broker(settings: Settings, team: Workers, collector: Collector) -> None:
    team.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    async with serving(settings) as api:
        job = (await api.post("/api/analyze", json=ASKED, headers={"Prefer": "wait=30"})).json()
    assert job["status"] == "completed"
    team.stop_all()

    assert {span.trace_id for span in collector.spans} == {job["id"].replace("-", "")}
    [root], [submitted] = collector.of_kind("internal"), collector.of_kind("producer")
    assert (root.name, root.parent_id, root.service) == ("invoke_workflow comparative", "", "ultrallm-worker")
    assert root.attributes["ultra.job.id"] == job["id"]
    assert root.attributes["ultra.job.status"] == "completed"
    assert (submitted.name, submitted.service) == ("submit comparative", "ultrallm-api")
    asked = collector.of_kind("client")
    assert {span.name for span in asked} == {"chat a", "chat b"}
    assert {span.parent_id for span in (submitted, *asked)} == {root.span_id}
    assert {span.attributes["ultra.call.attempt"] for span in asked} == {1}
    assert all("gen_ai.response.time_to_first_chunk" in span.attributes for span in asked)
    tokens = {
        (span.attributes["gen_ai.usage.input_tokens"], span.attributes["gen_ai.usage.output_tokens"]) for span in asked
    }
    assert tokens == {
        (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) for answer in job["answers"]
    }
    [measured] = collector.metrics["gen_ai.workflow.duration"]
    assert measured.count == 1
    assert measured.total == pytest.approx(root.seconds, abs=0.5)
    assert ASKED["prompt"] not in repr(collector.raw)


async def test_an_attempt_that_failed_is_a_span_of_its_own(
    settings: Settings, team: Workers, collector: Collector, tmp_path: Path
) -> None:
    catalog = tmp_path / "models.yaml"
    catalog.write_text(FLAKY)
    team.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, ULTRA_MODELS_PATH=str(catalog))
    async with serving(settings.model_copy(update={"ultra_models_path": catalog})) as api:
        asked = ASKED | {"models": ["mock-flaky"]}
        job = (await api.post("/api/analyze", json=asked, headers={"Prefer": "wait=30"})).json()
    assert job["status"] == "completed"
    team.stop_all()

    told = {
        span.attributes["ultra.call.attempt"]: span.attributes.get("error.type") for span in collector.of_kind("client")
    }
    assert told == {1: "unavailable", 2: None}


async def test_who_cancels_a_job_tells_of_its_end(settings: Settings, collector: Collector) -> None:
    async with serving(settings) as api:
        job = (await api.post("/api/analyze", json=ASKED)).json()
        await api.post(job["links"]["cancel"])
        await api.post(job["links"]["cancel"])

    [root] = collector.of_kind("internal")
    assert root.attributes["ultra.job.status"] == "cancelled"
    assert root.attributes["error.type"] == "cancelled"


LOADED = """
import sys
from api.main import create_app
from common.settings import Settings
from worker import runtime
from common.telemetry import telemetry_of
telemetry_of(Settings(), "api")
kept_out = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf")
print([name for name in sys.modules if name.startswith(kept_out)])
"""


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
