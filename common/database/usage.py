"""The statements about usage: what calls came to, and what they add up to.

A call of a job has its row from the statement that records its answer (`common.database.calls.finish`), so that
there is one row a call, whatever is delivered twice or dies. A request to the gateway has it from `insert`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Double,
    Select,
    Text,
    TextClause,
    WithinGroup,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB

from common.contracts.usage import Dimension, Source
from common.database.tables import api_keys, usage

_INSERT = text(
    """
    INSERT INTO usage (
        call_id, at, owner, source, request_id, kind, model, served_by, provider, status, error_code, prompt_tokens,
        completion_tokens, cached_prompt_tokens, reasoning_tokens, cost_usd, time_to_first_token_ms, latency_ms,
        attempts, cached)
    SELECT call_id, coalesce(at, now()), owner, source, request_id, kind, model, served_by, provider, status,
           error_code, prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens, cost_usd,
           time_to_first_token_ms, latency_ms, coalesce(attempts, 1), coalesce(cached, false)
    FROM jsonb_to_recordset(:rows) AS r(
        call_id uuid, at timestamptz, owner text, source text, request_id text, kind text, model text, served_by text,
        provider text, status text, error_code text, prompt_tokens bigint, completion_tokens bigint,
        cached_prompt_tokens bigint, reasoning_tokens bigint, cost_usd numeric, time_to_first_token_ms float,
        latency_ms float, attempts int, cached boolean)
    ON CONFLICT (call_id) DO NOTHING
    """
).bindparams(bindparam("rows", type_=JSONB))

# `until` comes from Postgres' clock, as the rows' times do. There is always a row, with 0 calls if need be.
_UNPRICED = text(
    """
    SELECT span.until, coalesce(u.served_by, u.model) AS model, count(u.call_id)::int AS calls
    FROM (SELECT now() - make_interval(secs => :settle) AS until) AS span
    LEFT JOIN usage u
        ON u.at > greatest(coalesce(:since, span.until), span.until - make_interval(secs => :reach))
       AND u.at <= span.until AND u.cost_usd IS NULL AND u.status = 'completed'
    GROUP BY 1, 2
    """
).bindparams(bindparam("since", type_=usage.c.at.type))

# Written as text: a bound 'UTC' would be another parameter each time, and so another expression.
_day = cast(func.timezone(literal_column("'UTC'"), usage.c.at), Date)
# Who answered is who is paid; where nobody did, who was asked.
_model = func.coalesce(usage.c.served_by, usage.c.model)


def insert(rows: list[dict[str, Any]]) -> TextClause:
    """Write down calls that belong to no job; a `call_id` that is there already is left as it is.

    `rows` are `{call_id, owner, source, kind, model, status, …}`, the rest by the names of the table's columns.
    """
    return _INSERT.bindparams(rows=rows)


def spent(owner: str, since: datetime) -> Select[Any]:
    """`usd`: what this owner's calls since then cost, as far as it is known. Of the gateway's some may be to come."""
    paid = select(cast(func.coalesce(func.sum(usage.c.cost_usd), 0), Double).label("usd"))
    # written as the index ix_usage_paid has it
    return paid.where(usage.c.owner == owner, usage.c.at >= since, literal_column("cost_usd > 0"))


def report(
    by: Sequence[Dimension],
    *,
    since: datetime,
    until: datetime,
    owner: str | None,
    model: str | None,
    source: Source | None,
    limit: int,
) -> Select[Any]:
    """What calls came to from `since` to `until`, both included, a row a group and one for them all.

    The total comes first, with `is_total` 1; then at most `limit` groups: the newest days first, and within
    a day those of the most calls. `owner` None means everybody's. Costs and tokens that are not known are not
    in the sums; a sum of nothing known is null. Latency is that of answers that a model gave; their speed is that
    between the first token and the last, where both times are known.
    """
    rows = select(usage, _day.label("day"), _model.label("by_model"))
    rows = rows.where(usage.c.at >= since, usage.c.at <= until)
    if owner is not None:
        rows = rows.where(usage.c.owner == owner)
    if model is not None:
        rows = rows.where(_model == model)
    if source is not None:
        rows = rows.where(usage.c.source == source)
    one = rows.subquery("one")
    dimensions = {"day": one.c.day, "model": one.c.by_model, "key": one.c.owner}
    groups = [dimensions[name].label(name) for name in by]
    is_completed = one.c.status == "completed"
    is_measured = is_completed & ~one.c.cached
    streaming_ms = one.c.latency_ms - one.c.time_to_first_token_ms
    is_timed = is_measured & (streaming_ms > 0) & (one.c.completion_tokens > 0)
    sums = (
        select(
            *groups,
            func.grouping(dimensions[by[0]]).label("is_total"),
            func.count().label("calls"),
            func.count().filter(one.c.status == "failed").label("failed"),
            func.count().filter(one.c.cached).label("cached"),
            func.coalesce(func.sum(one.c.prompt_tokens), 0).label("prompt_tokens"),
            func.coalesce(func.sum(one.c.completion_tokens), 0).label("completion_tokens"),
            func.coalesce(func.sum(one.c.cached_prompt_tokens), 0).label("cached_prompt_tokens"),
            func.coalesce(func.sum(one.c.reasoning_tokens), 0).label("reasoning_tokens"),
            func.sum(one.c.cost_usd).label("cost_usd"),
            func.count().filter(is_completed & one.c.cost_usd.is_(None)).label("unpriced_calls"),
            func.avg(one.c.latency_ms).filter(is_measured).label("latency_mean"),
            _percentiles(one.c.latency_ms).filter(is_measured).label("latency_percentiles"),
            func.avg(one.c.time_to_first_token_ms).filter(is_measured).label("first_token_mean"),
            _percentiles(one.c.time_to_first_token_ms).filter(is_measured).label("first_token_percentiles"),
            (
                cast(func.sum(one.c.completion_tokens).filter(is_timed), Double)
                / (func.sum(streaming_ms).filter(is_timed) / 1000)
            ).label("tokens_per_second"),
        )
        .group_by(func.grouping_sets(tuple_(*(dimensions[name] for name in by)), tuple_()))
        .subquery("sums")
    )
    order = [sums.c.day.desc()] if "day" in by else []
    named = select(sums)
    if "key" in by:
        named = select(sums, api_keys.c.name.label("key_name"))
        named = named.outerjoin_from(sums, api_keys, cast(api_keys.c.id, Text) == sums.c.key)
    return named.order_by(
        sums.c.is_total.desc(), *order, sums.c.calls.desc(), *(sums.c[name] for name in by if name != "day")
    ).limit(limit + 1)


def unpriced(since: datetime | None, *, settle: timedelta, reach: timedelta) -> TextClause:
    """`(until, model, calls)`: the answers without a price after `since`, and until when they were counted.

    Rows of the last `settle` are left for the next time, as some with earlier times may yet be committed; what
    is older than `reach` is not looked at. With `since` None nothing is counted.
    """
    return _UNPRICED.bindparams(since=since, settle=settle.total_seconds(), reach=reach.total_seconds())


def _percentiles(times: ColumnElement[Any]) -> WithinGroup[Any]:
    return func.percentile_cont(literal_column("ARRAY[0.5, 0.95]")).within_group(times)
