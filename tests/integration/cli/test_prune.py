import json
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from common.retention import BATCH
from tests.integration.cli.ultra import PATIENCE_SECONDS, ULTRA, environment, ultra
from tests.integration.embedded.watching import until

FILL = """
    INSERT INTO jobs (id, kind, status, models, request, finished_at)
    SELECT uuidv7(), 'comparative', 'completed', '[]', '{}', now() - %s::interval FROM generate_series(1, %s)
"""

TAKE_LONG = """
    CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(25); RETURN old; END';
    CREATE TRIGGER take_long BEFORE DELETE ON jobs FOR EACH ROW
    WHEN (old.finished_at > now() - interval '41 days') EXECUTE FUNCTION take_long()
"""
IS_AT_IT = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


@pytest.fixture
def urls(postgres_url: str, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}


def fill(urls: dict[str, str], age: str, jobs: int) -> None:
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(FILL, [age, jobs])


def count(urls: dict[str, str]) -> int:
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM jobs").fetchone()
    assert row is not None
    return int(row[0])


def test_a_dry_run_counts_what_a_run_then_removes(urls: dict[str, str], tmp_path: Path) -> None:
    fill(urls, "13 hours", 700)
    fill(urls, "11 hours", 3)
    dry = ultra(tmp_path, "prune", "--older-than", "12h", "--dry-run", **urls)
    assert (dry.returncode, dry.stdout, dry.stderr) == (0, "700 jobs would be removed\n", "")
    assert count(urls) == 703
    run = ultra(tmp_path, "prune", "--older-than", "12h", **urls)
    assert (run.returncode, run.stdout, run.stderr) == (0, "removed 700 jobs with 0 calls\n", "")
    assert count(urls) == 3


def test_without_an_age_it_is_the_one_of_the_setting(urls: dict[str, str], tmp_path: Path) -> None:
    fill(urls, "13 hours", 2)
    run = ultra(tmp_path, "prune", "--json", ULTRA_RETENTION_DAYS="0.5", **urls)
    assert json.loads(run.stdout) == {"jobs": 2, "calls": 0, "is_dry_run": False}


def test_where_jobs_are_kept_for_ever_the_age_must_be_said(urls: dict[str, str], tmp_path: Path) -> None:
    fill(urls, "1000 days", 2)
    run = ultra(tmp_path, "prune", ULTRA_RETENTION_DAYS="0", **urls)
    assert run.returncode == 2
    assert "say how old, such as 30d" in run.stderr
    assert count(urls) == 2


def test_an_interrupted_run_says_how_far_it_got(urls: dict[str, str], tmp_path: Path) -> None:
    fill(urls, "42 days", BATCH)
    fill(urls, "40 days", 1)
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(TAKE_LONG)
        with subprocess.Popen(
            [ULTRA, "prune"], cwd=tmp_path, env=environment(tmp_path, **urls), stderr=subprocess.PIPE, text=True
        ) as running:
            try:
                until(lambda: connection.execute(IS_AT_IT).fetchone() is not None, "the second batch", PATIENCE_SECONDS)
                running.send_signal(signal.SIGINT)
                _, said = running.communicate(timeout=PATIENCE_SECONDS)
            finally:
                running.kill()
    assert said == f"stopped after {BATCH} jobs, the next run goes on\n"
    assert (running.returncode, count(urls)) == (130, 1)


def test_without_a_database_there_is_one_line_that_says_so(tmp_path: Path) -> None:
    run = ultra(tmp_path, "prune", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (run.returncode, len(run.stderr.splitlines())) == (1, 1)
    assert "Cannot reach the database" in run.stderr
