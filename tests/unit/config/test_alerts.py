"""The alert rules: what they promise is read from the file, what they do is tried by Prometheus' own promtool."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DIRECTORY = ROOT / "deploy" / "prometheus"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((DIRECTORY / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
ANCHORS = {
    f"docs/operations.md#{re.sub(r'[^a-z0-9 -]', '', heading.lower()).replace(' ', '-')}"
    for heading in re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook"] in ANCHORS


def test_every_alert_is_seen_to_fire() -> None:
    expected = set(re.findall(r'alertname="(\w+)"', (DIRECTORY / "alerts_test.yml").read_text()))
    assert expected == set(RULES)


@pytest.mark.parametrize(
    "subject",
    [
        "ultra_queue_oldest_seconds",
        "ultra_call_lease_expiries_total",
        "ultra_call_rescues_total",
        "ultra_call_duplicate_claims_total",
        "ultra_call_stale_results_total",
        "ultra_calls_dead_lettered_total",
        "ultra_sweep_age_seconds",
        "ultra_admission_shared",
        "ultra_usage_dropped_total",
        "ultra_model_wait_milliseconds_total",
    ],
)
def test_what_operators_should_hear_of_has_an_alert(subject: str) -> None:
    assert any(subject in rule["expr"] for rule in RULES.values())


@pytest.mark.parametrize("arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_finds_the_rules_right(arguments: tuple[str, ...]) -> None:
    result = subprocess.run(
        [_promtool(), *arguments], cwd=DIRECTORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _promtool() -> str:
    return shutil.which("promtool") or _lacking("promtool is not installed; Debian's `prometheus` has it")


def _lacking(what: str) -> NoReturn:
    """Skip with the reason; in CI nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip: {what}")
    pytest.skip(what)
