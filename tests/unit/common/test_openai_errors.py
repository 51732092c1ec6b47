from typing import Any

import httpx2
import openai
import pytest

from common.errors import BadUpstream, ProviderError, RateLimited, Unavailable, UpstreamRejected
from common.providers.openai_errors import translated

REQUEST = httpx2.Request("POST", "https://api.example/v1/chat/completions")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"type": "rate_limit_error"}, RateLimited),
        ({"code": 503}, Unavailable),
        ({"code": "503"}, Unavailable),
        ({"code": "7"}, BadUpstream),
        ({"code": "9" * 5000}, BadUpstream),
        ({"code": ["a"], "type": {"b": 1}}, BadUpstream),
    ],
)
def test_an_error_in_a_stream_is_classed_whatever_stands_in_its_fields(
    said: dict[str, Any], expected: type[ProviderError]
) -> None:
    error = openai.APIError("?", REQUEST, body={"message": "It fell over.", **said})
    assert type(translated(error, server="somewhere")) is expected


def test_so_is_one_that_came_with_a_status() -> None:
    response = httpx2.Response(400, request=REQUEST)
    error = openai.BadRequestError("?", response=response, body={"message": "No.", "type": [1]})
    assert type(translated(error, server="somewhere")) is UpstreamRejected
