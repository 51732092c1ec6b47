from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers.foreign_errors import classify, retry_after_seconds

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("status", "name", "detail", "expected"),
    [
        (400, None, "bad temperature", UpstreamRejected),
        (400, "context_length_exceeded", "", ContextTooLong),
        (400, "exceed_context_size_error", "", ContextTooLong),
        (400, None, "exceeds the available Context Size (4096 tokens)", ContextTooLong),
        (500, None, "the request exceeds the context window", ContextTooLong),
        (400, "content_filter", "", ContentRefused),
        (401, "invalid_api_key", "", UpstreamDenied),
        (403, None, "", UpstreamDenied),
        (404, "not_found_error", "", UpstreamModelMissing),
        (408, None, "", Unavailable),
        (413, None, "", ContextTooLong),
        (422, None, "no such field", UpstreamRejected),
        (429, None, "", RateLimited),
        (429, "insufficient_quota", "", UpstreamDenied),
        (500, None, "", Unavailable),
        (501, "not_supported_error", "", Unsupported),
        (501, None, "", Unsupported),
        (500, "server_error", "Image input is not supported", Unsupported),
        (500, "server_error", "Failed to parse tools: Missing tool type: true; tools = [\n  true\n]", UpstreamRejected),
        (500, "server_error", "Failed to parse messages: Missing tool call name", UpstreamRejected),
        (502, None, "", Unavailable),
        (529, None, "", Unavailable),
        (302, None, "", BadUpstream),
        (None, "server_error", "", Unavailable),
        (None, "rate_limit_exceeded", "", RateLimited),
        (None, "what_is_this", "", BadUpstream),
    ],
)
def test_an_error_is_classed_by_its_name_then_its_words_then_its_status(
    status: int | None, name: str | None, detail: str, expected: type[ProviderError]
) -> None:
    assert classify(status, (None, name), detail) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": format_datetime(datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC), usegmt=True)}, 30),
        ({"retry-after": format_datetime(datetime(2026, 11, 21, 11, 0, 0, tzinfo=UTC), usegmt=True)}, 0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_a_server_s_wish_for_patience_is_read_in_each_of_its_forms(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after_seconds(headers, NOW) == expected
