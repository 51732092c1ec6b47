import asyncio

import httpx
import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from common.presence import WORKERS_KEY, worker_key
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import submit
from tests.integration.api.conftest import Serve


async def sign_on(worker: ActingWorker, name: str, *queues: str) -> None:
    await worker.redis.set(worker_key(name), orjson.dumps({"name": name, "queues": queues, "consumes": True}), ex=15)
    await worker.redis.sadd(WORKERS_KEY, name)


async def test_work_is_accepted_before_there_are_workers(api: httpx.AsyncClient) -> None:
    health, ready = await api.get("/health"), await api.get("/health/ready")
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    assert health.json()["checks"]["workers"] == {"control": 0, "cloud": 0, "local": 0}
    assert ready.status_code == 503
    assert int(ready.headers["retry-after"]) >= 1


async def test_ready_means_a_worker_on_every_queue(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await sign_on(worker, "a", "control", "cloud")
    await sign_on(worker, "b", "local", "cloud")
    await worker.redis.sadd(WORKERS_KEY, "dead")  # its record has expired
    response = await api.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["status"] == "healthy"
    assert response.json()["checks"]["workers"] == {"control": 1, "cloud": 2, "local": 1}


@pytest.mark.parametrize(("llm_provider", "model"), [("local", "qwen3:4b"), ("claude", "claude-3-opus-20240229")])
async def test_health_shows_the_configuration(serve: Serve, llm_provider: str, model: str) -> None:
    url = "http://ivy:key-that-nobody-may-see@knowledge:8001/agent?token=nor-this"
    async with serve(llm_provider=llm_provider, ollama_model="qwen3:4b", knowledge_agent_url=url) as api:
        document = (await api.get("/health")).json()
    assert document["service"] == "ultrallm"
    assert (document["llm_provider"], document["model"]) == (llm_provider, model)
    assert document["knowledge_agent_url"] == "http://knowledge:8001/agent"


async def test_without_an_agent_health_shows_none(api: httpx.AsyncClient) -> None:
    document = (await api.get("/health")).json()
    assert (document["llm_provider"], document["knowledge_agent_url"]) == ("local", None)


async def test_without_postgres_health_says_so_and_the_process_lives(serve: Serve, closed_port: int) -> None:
    async with serve(database_url=SecretStr(f"postgresql://nobody@127.0.0.1:{closed_port}/none")) as api:
        health = await api.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        assert int(health.headers["retry-after"]) >= 1
        assert (await api.get("/health/live")).status_code == 200
        metrics = (await api.get("/metrics")).text
        assert "ultra_database_up 0.0" in metrics
        assert "ultra_jobs{" not in metrics


async def test_a_database_without_tables_is_told_what_it_needs(serve: Serve, postgres_url: str) -> None:
    empty = make_url(postgres_url).set(database="postgres").render_as_string(hide_password=False)
    async with serve(database_url=SecretStr(empty)) as api:
        response = await api.get("/api/analyses")
        assert response.status_code == 503
        assert "ultra migrate" in response.json()["detail"]


async def test_who_asks_at_once_gets_the_same_look(api: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(api.get("/health") for _ in range(50)))
    assert len({response.text for response in responses}) == 1


async def test_metrics_show_queues_and_requests(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    running = await submit(api)
    await submit(api)
    await worker.begin(running["id"])
    await sign_on(worker, "a", "control")
    await api.get("/nowhere")
    response = await api.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for line in (
        'ultra_jobs{status="queued"} 1.0',
        'ultra_jobs{status="running"} 1.0',
        'ultra_calls{queue="cloud",status="running"} 1.0',
        'ultra_workers{queue="control"} 1.0',
        'ultra_queue_messages{queue="local"} 0.0',
        "ultra_submissions_total 2.0",
        "ultra_broker_up 1.0",
        'ultra_http_request_seconds_count{method="POST",route="/api/analyze",status="202"} 2.0',
        'ultra_http_request_seconds_count{method="GET",route="unmatched",status="404"} 1.0',
    ):
        assert line in response.text
