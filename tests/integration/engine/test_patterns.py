"""Patterns over HTTP, with a real worker; files that change while both run."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.patterns.load import SHIPPED_PATH
from common.settings import Settings
from tests.integration.api.serving import serving
from tests.integration.engine.stack import PATIENCE_SECONDS, Desk, Workers

WAIT = {"Prefer": "wait=30"}
CATALOG = """\
defaults: {models: [mock-a, mock-b]}
models:
  mock-a:
  mock-b:
  mock-silent: {parameters: {extra: {error: content_refused}}}
"""
SHIPPED = SHIPPED_PATH.read_text(encoding="utf-8")
RELAY = {
    "description": "One answers, the other goes on.",
    "stages": [
        {"name": "first", "models": "all", "template": "{prompt}"},
        {"name": "second", "models": "all", "template": "{own_answer} then {other_answers}"},
        {"name": "last", "models": "lead", "template": "{answers}", "parameters": {"max_tokens": 3}},
    ],
}


@pytest.fixture
def models_file(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(CATALOG)
    return path


@pytest.fixture
def patterns_file(tmp_path: Path) -> Path:
    path = tmp_path / "patterns.json"
    path.write_text(json.dumps({"relay": RELAY}))
    return path


@pytest.fixture
def settings(postgres_url: str, redis_url: str, models_file: Path, patterns_file: Path) -> Settings:
    return Settings(
        database_url=postgres_url,
        redis_url=redis_url,
        ultra_models_path=models_file,
        analysis_patterns_path=patterns_file,
    )


@pytest.fixture
async def api(settings: Settings, team: Workers) -> AsyncIterator[httpx.AsyncClient]:
    """An API and a worker that read the same catalog."""
    team.start(ULTRA_MODELS_PATH=str(settings.ultra_models_path))
    async with serving(settings) as client:
        client.timeout = httpx.Timeout(PATIENCE_SECONDS)
        yield client


def write(path: Path, text: str) -> None:
    path.write_text(text)


def swap(path: Path, text: str) -> None:
    """As editors do that would rather have no file than half a one."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.rename(path)


async def analyze(api: httpx.AsyncClient, analysis_type: str, **fields: Any) -> dict[str, Any]:
    asked = {"prompt": "Why {answers}?", "analysis_type": analysis_type} | fields
    response = await api.post("/api/analyze", json=asked, headers=WAIT)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def until(api: httpx.AsyncClient, path: str, is_so: Callable[[Any], bool]) -> Any:
    """The document at a path, once it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so(document := (await api.get(path)).json()):
        assert time.monotonic() < deadline, document
        await asyncio.sleep(0.05)
    return document


def knows(name: str) -> Callable[[Any], bool]:
    return lambda document: name in {one["name"] for one in document["data"]}


async def test_a_pattern_runs_through_its_stages(api: httpx.AsyncClient, desk: Desk) -> None:
    job = await analyze(api, "relay", models=["mock-a", "mock-b"], lead_model="mock-b")
    assert (job["status"], job["analysis_type"]) == ("completed", "relay"), job["error"]
    [first, second, last] = job["result"]["stages"]
    assert [len(stage["answers"]) for stage in (first, second, last)] == [2, 2, 1]
    assert job["result"]["final"] == job["text"] == last["answers"][0]["text"]
    assert len(job["text"].split()) == 3
    assert [answer["text"] for answer in job["answers"]] == [answer["text"] for answer in first["answers"]]
    [asked] = await desk.sql(
        "SELECT request FROM calls WHERE job_id = CAST(:id AS uuid) AND round = 1 AND model = 'mock-a'", id=job["id"]
    )
    said = asked["request"]["messages"][0]["content"]
    assert said.startswith(f"{first['answers'][0]['text']} then <answer")
    assert first["answers"][1]["text"] in said


async def test_a_model_that_fails_leaves_a_partial_result(api: httpx.AsyncClient) -> None:
    job = await analyze(api, "relay", models=["mock-a", "mock-silent"])
    assert job["status"] == "partial"
    assert [len(stage["answers"]) for stage in job["result"]["stages"]] == [1, 1, 1]


async def test_every_pattern_that_we_ship_comes_to_an_end(api: httpx.AsyncClient, patterns_file: Path) -> None:
    write(patterns_file, SHIPPED)
    await until(api, "/api/analysis-types", knows("debate"))
    names = list(json.loads(SHIPPED))
    for name, job in zip(names, await asyncio.gather(*(analyze(api, name) for name in names)), strict=True):
        assert job["status"] == "completed", (name, job["error"])
        assert job["text"]
    scenario = await analyze(api, "scenario")
    assert scenario["result"]["parsed"] is True
    assert scenario["result"]["best"]["signs"]


async def test_types_are_listed_and_an_unknown_one_is_told_them(api: httpx.AsyncClient) -> None:
    types = (await api.get("/api/analysis-types")).json()["data"]
    assert [(one["name"], one["built_in"]) for one in types] == [
        ("comparative", True),
        ("factual", True),
        ("relay", False),
    ]
    response = await api.post("/api/analyze", json={"prompt": "x", "analysis_type": "relais"})
    assert response.status_code == 422
    assert "comparative, factual, relay" in response.json()["detail"]


async def test_a_pattern_edited_while_all_runs_is_followed_and_a_broken_edit_is_not(
    api: httpx.AsyncClient, patterns_file: Path
) -> None:
    write(patterns_file, json.dumps({"relay": RELAY, "echo": RELAY}))
    await until(api, "/api/analysis-types", knows("echo"))
    assert (await analyze(api, "echo"))["status"] == "completed"

    write(patterns_file, '{\n"relay": {"stages": []}}')
    health = await until(api, "/health", lambda document: document["checks"]["config"]["status"] == "down")
    assert f"{patterns_file}:2: relay.description: field required" in health["checks"]["config"]["detail"]
    assert f'ultra_config_broken{{file="{patterns_file}"}} 1.0' in (await api.get("/metrics")).text
    assert (await analyze(api, "echo"))["status"] == "completed"

    swap(patterns_file, json.dumps({"once": RELAY}))
    await until(api, "/health", lambda document: document["checks"]["config"]["status"] == "up")
    assert not knows("echo")((await api.get("/api/analysis-types")).json())
    assert f'ultra_config_broken{{file="{patterns_file}"}} 0.0' in (await api.get("/metrics")).text


async def test_a_reload_changes_no_job_that_was_submitted(
    settings: Settings, team: Workers, models_file: Path, patterns_file: Path
) -> None:
    async with serving(settings) as api:
        accepted = await api.post("/api/analyze", json={"prompt": "x", "analysis_type": "relay"})
        write(patterns_file, "{}")
        await until(api, "/api/analysis-types", lambda document: not knows("relay")(document))
        team.start(ULTRA_MODELS_PATH=str(models_file))
        job = await until(api, accepted.json()["links"]["self"], lambda document: document["finished_at"])
    assert (job["status"], job["analysis_type"]) == ("completed", "relay")


async def test_a_model_added_to_the_catalog_is_asked_by_the_running_worker(
    api: httpx.AsyncClient, models_file: Path, team: Workers
) -> None:
    # Its two words tell that the worker has read the entry: the id alone would do for 32.
    write(models_file, CATALOG + "  mock-brief: {aliases: [brief], parameters: {extra: {tokens: 2}}}\n")
    await until(api, "/api/models", lambda document: "mock-brief" in {one["id"] for one in document["data"]})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len((await analyze(api, "comparative", models=["brief"]))["text"].split()) != 2:
        assert time.monotonic() < deadline, team.logs()

    write(models_file, CATALOG + "  mock-brief: {alias: brief}\n")
    health = await until(api, "/health", lambda document: document["checks"]["config"]["status"] == "down")
    assert f"{models_file}:6: models.mock-brief.alias: no such field" in health["checks"]["config"]["detail"]
    while "models.mock-brief.alias: no such field" not in team.logs():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert (await analyze(api, "comparative", models=["brief"]))["status"] == "completed"
