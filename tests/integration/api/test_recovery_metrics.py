import math

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from common.circuits import Circuits, circuit_key
from common.counters import Count
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import submit
from tests.integration.api.conftest import Serve
from worker.counters import Report, Tally


async def figures(api: httpx.AsyncClient) -> dict[str, float]:
    """Every sample of `/metrics`, by its name and its labels' values."""
    text = (await api.get("/metrics")).text
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_workers_counted_is_shown(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await Report(worker.redis, Tally({Count.RESCUES: 3, Count.DEAD_LETTERS: 1, Count.SWEEPS: 9})).send()
    seen = await figures(api)
    assert seen["ultra_call_rescues_total"] == 3
    assert seen["ultra_calls_dead_lettered_total"] == 1
    assert seen["ultra_call_stale_results_total"] == 0
    assert 0 <= seen["ultra_sweep_age_seconds"] < 60


async def test_before_anybody_counted_counters_are_0_and_the_last_sweep_is_infinitely_long_ago(
    api: httpx.AsyncClient,
) -> None:
    seen = await figures(api)
    assert {seen[f"ultra_{count}_total"] for count in Count} == {0}
    assert seen["ultra_sweep_age_seconds"] == math.inf


async def test_what_cannot_be_asked_is_left_out(serve: Serve, closed_port: int) -> None:
    async with serve(redis_url=SecretStr(f"redis://127.0.0.1:{closed_port}/0")) as api:
        seen = await figures(api)
    assert seen["ultra_broker_up"] == 0
    assert not {"ultra_call_rescues_total", "ultra_sweep_age_seconds", "ultra_workers cloud"} & seen.keys()
    assert seen["ultra_queue_oldest_seconds control"] == 0


async def test_the_age_of_each_queue_is_shown(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await submit(api)
    seen = await figures(api)
    assert 0 <= seen["ultra_queue_oldest_seconds control"] < 60
    assert seen["ultra_queue_oldest_seconds cloud"] == seen["ultra_queue_oldest_seconds local"] == 0
    assert seen["ultra_jobs_overdue_seconds"] == 0


async def test_a_model_that_is_left_alone_is_shown(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    key = circuit_key("openai", "gpt-4o")
    await Circuits(worker.redis, failures=1, open_seconds=60).failed(key)
    assert (await figures(api))[f"ultra_circuit_open {key}"] == 1
