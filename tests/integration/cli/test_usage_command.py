import json
from pathlib import Path

from cli.embedded.stack import Stack
from tests.integration.cli.ultra import ultra


def test_usage_shows_what_an_analysis_took(stack: Stack, tmp_path: Path) -> None:
    asked = ultra(tmp_path, "analyze", "Why?", "-m", "mock-a,mock-error", "--no-merge", "-q", ULTRA_URL=stack.url)
    assert asked.returncode == 3, asked.stderr
    result = ultra(tmp_path, "usage", "--days", "2", "--by", "model", "--json", ULTRA_URL=stack.url)
    rows = {row["model"]: row for row in json.loads(result.stdout)["data"]}
    assert {model: (row["calls"], row["failed"]) for model, row in rows.items()} == {
        "mock-a": (1, 0),
        "mock-error": (1, 1),
    }
    assert rows["mock-a"]["completion_tokens"] > 0
    table = ultra(tmp_path, "usage", "--by", "day, model", ULTRA_URL=stack.url).stdout
    assert table.split()[:2] == ["day", "model"]
    assert table.splitlines()[-1].split()[:3] == ["all", "2", "1"]


def test_a_grouping_that_does_not_exist_is_a_usage_error(stack: Stack, tmp_path: Path) -> None:
    result = ultra(tmp_path, "usage", "--by", "hour", ULTRA_URL=stack.url)
    assert (result.returncode, result.stdout) == (2, "")
    assert "group_by" in result.stderr
