"""What calls came to: tokens, cost, latency and failures."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator

from api.database import Row
from api.dependencies import ReaderDep, RuntimeDep
from api.examples import USAGE, shown
from api.openapi import problems
from api.responses import document
from api.routes.analyses import Name, model_id
from common.contracts.usage import Dimension, Latency, Source, UsageFigures, UsageReport, UsageRow
from common.database import usage
from common.errors import InvalidInput

router = APIRouter(tags=["Usage"])

DEFAULT_DAYS = 30
# A year and a day: a day may be compared with the same day of the year before.
MAX_DAYS = 366
MAX_GROUPS = 1000
AS_SUMMED = (
    "calls",
    "failed",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "cached_prompt_tokens",
    "reasoning_tokens",
    "cost_usd",
    "unpriced_calls",
)


def _as_written(given: Any) -> Any:
    """Pydantic would also take a number of seconds for a day."""
    if isinstance(given, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
        raise ValueError("a day is written YYYY-MM-DD")
    return given


Day = Annotated[date, BeforeValidator(_as_written)]


@router.get(
    "/api/usage", summary="Show usage", response_model=UsageReport, responses=problems(422) | {200: shown(USAGE)}
)
async def show_usage(
    runtime: RuntimeDep,
    caller: ReaderDep,
    from_: Annotated[
        Day | None, Query(alias="from", description=f"First day, UTC; {DEFAULT_DAYS} days up to `to` if left out.")
    ] = None,
    to: Annotated[
        Day | None, Query(description=f"Last day, UTC, included; today if left out. At most {MAX_DAYS} days.")
    ] = None,
    group_by: Annotated[
        str,
        Query(
            max_length=100,
            pattern=r"^(day|model|key)(,(day|model|key))*$",
            description="`day`, `model`, `key`, or several with commas between them.",
        ),
    ] = "day,model",
    model: Annotated[Name, Query(description="Id or alias: only the calls that this model answered.")] = None,
    source: Annotated[
        Source | None, Query(description="`job`: only calls of jobs; `gateway`: only requests to `/v1`.")
    ] = None,
) -> Response:
    """What calls came to, by day, model and key: those of the caller's key, and of every key for an admin.

    A cost that is not known is never counted as nothing: such answers are in `unpriced_calls`, and `cost_usd`
    is null where no cost is known.
    """
    first, last = days(from_, to, today=datetime.now(UTC).date())
    by: list[Dimension] = list(dict.fromkeys(group_by.split(",")))  # type: ignore[arg-type]  # the pattern's words
    total, *groups = await runtime.database.fetch(
        usage.report(
            by,
            since=datetime.combine(first, time.min, UTC),
            until=datetime.combine(last, time.max, UTC),
            owner=caller.sees,
            model=model_id(runtime.catalog, model) if model else None,
            source=source,
            limit=MAX_GROUPS + 1,  # one more tells whether there are more
        )
    )
    return document(
        UsageReport(
            from_=first,
            to=last,
            group_by=by,
            data=[_row(group) for group in groups[:MAX_GROUPS]],
            totals=UsageFigures(**_figures(total)),
            truncated=len(groups) > MAX_GROUPS,
        )
    )


def days(first: date | None, last: date | None, *, today: date) -> tuple[date, date]:
    """The first and the last day of a report.

    Raises:
        InvalidInput: names `from`, which lies after `to` or too long before it.
    """
    last = last or today
    if first is None:
        return date.fromordinal(max(1, last.toordinal() - DEFAULT_DAYS + 1)), last
    if first > last:
        raise InvalidInput(f"The first day, {first}, is after the last, {last}.", field="from")
    if last - first >= timedelta(days=MAX_DAYS):
        raise InvalidInput(f"From {first} to {last} is more than {MAX_DAYS} days: ask for fewer.", field="from")
    return first, last


def _row(group: Row) -> UsageRow:
    return UsageRow(
        day=group.get("day"),
        model=group.get("model"),
        key=group.get("key_name"),
        key_id=group.get("key") or None,  # '' is whoever came without a key
        **_figures(group),
    )


def _figures(sums: Row) -> dict[str, Any]:
    return {name: sums[name] for name in AS_SUMMED} | {
        "latency_ms": _times(sums, "latency"),
        "time_to_first_token_ms": _times(sums, "first_token"),
        "tokens_per_second": _rounded(sums["tokens_per_second"]),
    }


def _times(sums: Row, name: str) -> Latency:
    median, p95 = sums[f"{name}_percentiles"] or (None, None)
    return Latency(mean=_rounded(sums[f"{name}_mean"]), p50=_rounded(median), p95=_rounded(p95))


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 1)
