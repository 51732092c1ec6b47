import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from common.database import keys
from common.database.connect import connect
from tests.integration.cli.ultra import ultra


async def found(url: str, key: str) -> list[str] | None:
    engine: AsyncEngine = connect(url, pool_size=1)
    async with engine.connect() as connection:
        row = (await connection.execute(keys.find(key))).mappings().one_or_none()
    await engine.dispose()
    return row["scopes"] if row else None


async def test_a_key_works_from_its_creation_to_its_revocation(postgres_url: str, tmp_path: Path) -> None:
    made = ultra(tmp_path, "keys", "create", "laptop", "--scope", "submit,read", DATABASE_URL=postgres_url)
    key = made.stdout.strip()
    assert await found(postgres_url, key) == ["submit", "read"]

    listed = ultra(tmp_path, "keys", "list", "--json", DATABASE_URL=postgres_url)
    assert listed.stderr == ""
    [entry] = json.loads(listed.stdout)["data"]
    assert (entry["name"], entry["prefix"]) == ("laptop", key[: len(entry["prefix"])])
    assert key not in listed.stdout

    assert ultra(tmp_path, "keys", "revoke", entry["id"], DATABASE_URL=postgres_url).returncode == 0
    assert await found(postgres_url, key) is None
    again = ultra(tmp_path, "keys", "revoke", entry["id"], DATABASE_URL=postgres_url)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)


def test_a_stack_of_another_directory_has_keys_of_its_own(postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"DATABASE_URL": postgres_url}))
    made = ultra(tmp_path, "keys", "create", "second", "--json", "--data-dir", str(tmp_path))
    assert made.returncode == 0, made.stderr
    listed = ultra(tmp_path, "keys", "list", "--json", "--data-dir", str(tmp_path))
    assert [entry["name"] for entry in json.loads(listed.stdout)["data"]] == ["second"]


LIMITS = ("requests_per_minute", "tokens_per_minute", "parallel_calls", "budget_usd", "budget_period", "models")


def test_limits_are_given_shown_changed_and_lifted(postgres_url: str, tmp_path: Path) -> None:
    def keys(*arguments: str) -> Any:
        run = ultra(tmp_path, "keys", *arguments, "--json", DATABASE_URL=postgres_url)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    given = ("--requests-per-minute", "60", "--tokens-per-minute", "20000", "--parallel", "4", "--budget", "$2.5")
    made = keys("create", "intern", *given, "--models", "gpt4,mock-a")
    expected = [60, 20_000, 4, 2.5, "month", ["mock-a", "openai-gpt4o"]]
    assert [made[name] for name in LIMITS] == expected
    [listed] = keys("list")["data"]
    assert [listed[name] for name in LIMITS] == expected

    changed = keys("update", made["id"], "--parallel", "none", "--per", "day", "--models", "all")
    assert [changed[name] for name in LIMITS] == [60, 20_000, None, 2.5, "day", None]
    [listed] = keys("list")["data"]
    assert [listed[name] for name in LIMITS] == [60, 20_000, None, 2.5, "day", None]

    shown = ultra(tmp_path, "keys", "update", made["id"], "--budget", "none", DATABASE_URL=postgres_url)
    assert shown.stdout == "60 requests/min, 20,000 tokens/min\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--requests-per-minute", "0"),
        ("--tokens-per-minute", "many"),
        ("--parallel", "-1"),
        ("--budget", "nan"),
        ("--budget", "-1"),
        ("--per", "week"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_name(tmp_path: Path, option: str, value: str) -> None:
    refused = ultra(tmp_path, "keys", "create", "x", option, value, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert refused.returncode == 2
    assert option in refused.stderr


def test_a_key_that_is_not_there_has_no_limits(postgres_url: str, tmp_path: Path) -> None:
    nobody = "019aa000-0000-7000-8000-000000000000"
    refused = ultra(tmp_path, "keys", "update", nobody, "--parallel", "1", DATABASE_URL=postgres_url)
    assert (refused.returncode, refused.stderr) == (1, f"error: No live key {nobody}: see `ultra keys list`.\n")


def test_without_a_database_there_is_one_line_that_says_so(tmp_path: Path) -> None:
    result = ultra(tmp_path, "keys", "list", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["error: Cannot reach the database: set DATABASE_URL, or start `ultra up`."]
