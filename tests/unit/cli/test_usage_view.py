import io
from typing import Any

from rich.console import Console

from cli.views.usage import remarks, usage_table
from common.contracts.usage import UsageReport

KNOWN = {
    "calls": 1200,
    "failed": 3,
    "cached": 0,
    "prompt_tokens": 50_400,
    "completion_tokens": 8190,
    "cost_usd": 1234.5,
    "unpriced_calls": 0,
    "latency_ms": {"mean": 900.0, "p50": 840.2, "p95": 3210.0},
    "time_to_first_token_ms": {"mean": 260.0, "p50": 250.4, "p95": 900.0},
    "tokens_per_second": 87.3,
}
UNKNOWN = KNOWN | {"cost_usd": None, "unpriced_calls": 1200}
NOTHING = KNOWN | {"calls": 0, "latency_ms": {"mean": None, "p50": None, "p95": None}}


def report(*rows: dict[str, Any], by: tuple[str, ...] = ("day", "model"), **fields: Any) -> UsageReport:
    known: dict[str, Any] = {"from": "2026-11-01", "to": "2026-11-21", "totals": KNOWN, "truncated": False}
    return UsageReport.model_validate(known | {"group_by": list(by), "data": list(rows)} | fields)


def shown(one: UsageReport) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=120)
    console.print(usage_table(one))
    return [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_each_group_is_a_line_and_the_last_line_is_all_of_them() -> None:
    _, row, total = shown(report({"day": "2026-11-21", "model": "openai-gpt4o"} | KNOWN))
    figures = ["1,200", "3", "0", "50,400", "8,190", "$1,234.5000", "840", "ms", "3.2", "s", "250", "ms", "87"]
    assert row == ["2026-11-21", "openai-gpt4o", *figures]
    assert total == ["all", *figures]


def test_an_unknown_cost_is_a_dash_and_a_partly_known_one_says_that_there_is_more() -> None:
    partly = KNOWN | {"unpriced_calls": 1}
    _, unknown, known, total = shown(
        report({"model": "new"} | UNKNOWN, {"model": "old"} | KNOWN, by=("model",), totals=partly)
    )
    assert (unknown[6], known[6], total[6]) == ("-", "$1,234.5000", "$1,234.5000+")
    [remark] = remarks(report(totals=partly))
    assert remark == "1 answer has no known price and is not in the cost."
    [remark] = remarks(report(totals=UNKNOWN))
    assert remark == "1,200 answers have no known price and are not in the cost."


def test_a_key_goes_by_its_name_and_nobody_by_a_dash() -> None:
    rows = ({"key": "laptop", "key_id": "1"} | KNOWN, {"key": None} | KNOWN)
    assert [line[0] for line in shown(report(*rows, by=("key",)))] == ["key", "laptop", "-", "all"]


def test_no_usage_is_a_table_of_nothing() -> None:
    _, total = shown(report(totals=NOTHING))
    assert total[:2] == ["all", "0"]
    assert remarks(report(totals=NOTHING)) == []


def test_groups_that_were_left_out_are_not_kept_quiet() -> None:
    [remark] = remarks(report({"day": "2026-11-21", "model": "a"} | KNOWN, truncated=True))
    assert remark.startswith("Only 1 groups are shown")
