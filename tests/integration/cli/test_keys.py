import json
from pathlib import Path

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


def test_without_a_database_there_is_one_line_that_says_so(tmp_path: Path) -> None:
    result = ultra(tmp_path, "keys", "list", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["error: Cannot reach the database: set DATABASE_URL, or start `ultra up`."]
