import json
from pathlib import Path

import pytest

from cli.checks.broker import broker, judge_keeping, judge_workers
from cli.checks.database import database
from cli.checks.finding import fail, ok, warn, worst
from cli.checks.fleet import fleet, judge_fleet, relied_on
from cli.surroundings import look_around
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.settings import Settings
from tests.unit.common.fleet.scripted_rows import local_model


def settings(**named: str) -> Settings:
    return Settings(_env_file=None, **named)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_queue_that_nobody_consumes_is_a_failure_that_names_the_command() -> None:
    records = [{"queues": ["control", "cloud"], "consumes": True}, {"queues": ["control"], "consumes": True}]
    found = judge_workers(records, {"control": 0, "cloud": 0, "local": 7})
    assert [(one.name, one.status) for one in found] == [
        ("workers of control", "ok"),
        ("workers of cloud", "ok"),
        ("workers of local", "fail"),
    ]
    assert found[2].detail == "0, 7 messages waiting"
    assert found[2].next_step is not None
    assert "ultra worker local" in found[2].next_step


def test_a_worker_that_is_there_and_does_not_consume_is_not_counted() -> None:
    idle = {"queues": ["control", "cloud"], "consumes": False}
    records = [idle, {"queues": ["control", "local"], "consumes": True}]
    found = judge_workers(records, {"cloud": 9})
    assert [(one.status, one.detail) for one in found] == [
        ("warn", "1, 0 messages waiting; 1 more do not prove to consume it"),
        ("fail", "0, 9 messages waiting; 1 more do not prove to consume it"),
        ("ok", "1, 0 messages waiting"),
    ]


def test_a_broker_that_may_forget_is_a_warning_since_no_job_is_lost_with_it() -> None:
    assert [one.status for one in judge_keeping("no", "allkeys-lru")] == ["warn", "warn"]
    assert [one.status for one in judge_keeping("yes", "noeviction")] == ["ok", "ok"]


def test_without_a_lifecycle_worker_models_that_are_asked_for_cannot_be_started() -> None:
    found = judge_fleet([], {"local-b", "local-a"}, 3)
    assert (found.status, found.detail) == ("warn", "none: local-a, local-b cannot be started")
    assert found.next_step == "start one beside Docker: `ultra worker lifecycle`"
    assert judge_fleet([], {f"local-{number}" for number in range(8)}, 8).detail.endswith(
        "local-4 and 3 more cannot be started"
    )


def test_models_in_containers_that_nobody_asks_for_need_no_lifecycle_worker() -> None:
    assert judge_fleet([], set(), 3).status == "ok"


def test_lifecycle_workers_are_named_by_their_nodes() -> None:
    found = judge_fleet(["big", "small"], {"local-a"}, 3)
    assert (found.status, found.detail) == ("ok", "nodes big, small")


def test_a_model_may_be_relied_on_though_nobody_names_it() -> None:
    cloud = ModelEntry.model_validate({"id": "mock-a", "fallbacks": ["local-b"]})
    entries = {entry.id: entry for entry in (cloud, *map(local_model, ("local-a", "local-b", "local-c", "local-d")))}
    catalog = Catalog(entries, {}, default_models=("mock-a", "local-a"), default_lead="local-c")
    assert set(entries) - relied_on(catalog) == {"local-d"}


async def test_an_address_that_is_none_is_a_finding_and_shows_no_password() -> None:
    for [finding] in (await broker("redis://:secret@host:abc/0"), await database("postgresql://u:secret@host:abc/x")):
        assert finding.status == "fail"
        assert "is no URL" in finding.detail
        assert "secret" not in str(finding)
    assert await fleet("postgresql://host:abc/x", Catalog({"local-a": local_model()}, {})) == []


def test_the_worst_finding_decides() -> None:
    assert worst([ok("a", ""), warn("b", "", ""), fail("c", "", "")]) == "fail"
    assert worst([ok("a", ""), warn("b", "", "")]) == "warn"
    assert worst([]) == "ok"


def test_a_server_that_the_user_named_comes_before_a_running_stack(tmp_path: Path) -> None:
    stack = {"DATABASE_URL": "postgresql://stack/ultra", "REDIS_URL": "redis://stack"}
    (tmp_path / "endpoints.json").write_text(json.dumps(stack))
    around = look_around(settings(redis_url="redis://mine"), tmp_path)
    assert around.find("DATABASE_URL") == "postgresql://stack/ultra"
    assert around.find("REDIS_URL") == "redis://mine"
    assert around.find("MODEL_RUNNER_URL") is None


def test_with_nothing_named_and_nothing_running_there_is_no_server_to_look_at(tmp_path: Path) -> None:
    around = look_around(settings(), tmp_path)
    assert not around.is_stack_running
    assert around.find("DATABASE_URL") is None
