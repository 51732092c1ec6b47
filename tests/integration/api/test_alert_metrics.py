import re
from pathlib import Path

import httpx
import yaml

ALERTS = Path(__file__).resolve().parents[3] / "deploy" / "prometheus" / "alerts.yml"
OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


async def served(api: httpx.AsyncClient) -> set[str]:
    """The names of all metrics, those without samples too."""
    return set(re.findall(r"^# TYPE (ultra_\w+) ", (await api.get("/metrics")).text, re.MULTILINE))


async def test_alerts_speak_of_metrics_that_there_are(api: httpx.AsyncClient) -> None:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    wanted = {name for group in groups for rule in group["rules"] for name in re.findall(r"ultra_\w+", rule["expr"])}
    assert wanted
    # a histogram is served as one, and asked for by its parts
    assert {re.sub(r"_(sum|count|bucket)$", "", name) for name in wanted} <= await served(api)


async def test_every_metric_is_told_of_in_the_documentation(api: httpx.AsyncClient) -> None:
    told = set(re.findall(r"`(ultra_[a-z_]+)", OPERATIONS.read_text()))
    # a counter's and a histogram's moment of birth is Prometheus' own affair
    assert {name for name in await served(api) if not name.endswith("_created")} == told
