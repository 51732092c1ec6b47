"""The wire shape of `/api/usage`."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Dimension = Literal["day", "model", "key"]
Source = Literal["job", "gateway"]


class Latency(BaseModel):
    """From a request's start, over the answers that a model gave: not failed, not cached."""

    mean: float | None
    p50: float | None
    p95: float | None


class UsageGroup(BaseModel):
    """What the calls of a row have in common; null where `group_by` does not name it."""

    day: date | None = Field(None, description="UTC.")
    model: str | None = Field(None, description="The model that answered, or was asked if none did.")
    key: str | None = Field(None, description="Name of the API key; null for calls without one.")
    key_id: str | None = Field(None, description="As `ultra keys list` shows it; names may be the same.")


class UsageFigures(BaseModel):
    """What calls came to."""

    calls: int = Field(description="Calls that ended, failed and cached ones too.")
    failed: int
    cached: int = Field(description="Answered by an equal call's answer; they cost nothing.")
    prompt_tokens: int
    completion_tokens: int
    cached_prompt_tokens: int = Field(0, description="Those of the prompts that the provider had at hand.")
    reasoning_tokens: int = Field(0, description="Those of the answers that nobody was shown.")
    cost_usd: float | None = Field(description="Sum of the costs that are known; null if none is.")
    unpriced_calls: int = Field(description="Answers whose cost is not known and not in `cost_usd`.")
    latency_ms: Latency = Field(description="To the last token.")
    time_to_first_token_ms: Latency = Field(
        Latency(mean=None, p50=None, p95=None), description="To the first, where the answer was streamed to us."
    )
    tokens_per_second: float | None = Field(None, description="From the first token to the last.")


class UsageRow(UsageFigures, UsageGroup):
    """What the calls of one group came to."""


class UsageReport(BaseModel):
    """Newest days first, and within a day those of the most calls."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    from_: date = Field(alias="from", description="First day, UTC.")
    to: date = Field(description="Last day, included.")
    group_by: list[Dimension]
    data: list[UsageRow]
    totals: UsageFigures = Field(description="Of all calls, those of rows that were left out too.")
    truncated: bool = Field(description="There are more groups than are shown.")
