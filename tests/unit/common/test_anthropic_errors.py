import anthropic
import httpx2
import pytest

from common.errors import (
    BadUpstream,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unavailable,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers.anthropic_errors import classify, translated

REQUEST = httpx2.Request("POST", "https://api.example/v1/messages")
TOO_LONG = "prompt is too long: 215000 tokens > 200000 maximum"
TOO_LONG_WITH_ANSWER = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"


@pytest.mark.parametrize(
    ("status", "name", "detail", "expected"),
    [
        (400, "invalid_request_error", "temperature: range: 0..1", UpstreamRejected),
        (400, "invalid_request_error", TOO_LONG, ContextTooLong),
        (400, "invalid_request_error", TOO_LONG_WITH_ANSWER, ContextTooLong),
        (400, "invalid_request_error", "It exceeds the context window.", ContextTooLong),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", UpstreamDenied),
        (400, "organization_on_hold", "", UpstreamDenied),
        (401, "authentication_error", "", UpstreamDenied),
        (402, "billing_error", "", UpstreamDenied),
        (403, "permission_error", "", UpstreamDenied),
        (404, "not_found_error", "model: claude-9", UpstreamModelMissing),
        (413, "request_too_large", "", ContextTooLong),
        (413, None, "", ContextTooLong),
        (429, "rate_limit_error", "", RateLimited),
        (429, "enforced_spend_limit_reached", "", UpstreamDenied),
        (500, "api_error", "", Unavailable),
        (504, "timeout_error", "", Unavailable),
        (529, "overloaded_error", "", Unavailable),
        (529, None, "", Unavailable),
        (None, "overloaded_error", "", Unavailable),
        (None, "invalid_request_error", TOO_LONG, ContextTooLong),
        (None, "what_is_this", "", BadUpstream),
    ],
)
def test_an_error_is_classed_by_its_name_then_its_words_then_its_status(
    status: int | None, name: str | None, detail: str, expected: type[ProviderError]
) -> None:
    assert classify(status, (None, name), detail) is expected


def refused(status: int, body: object, **headers: str) -> anthropic.APIStatusError:
    response = httpx2.Response(status, request=REQUEST, headers=headers)
    return anthropic.APIStatusError("the SDK's own words", response=response, body=body)


def test_an_error_is_told_in_the_server_s_words() -> None:
    body = {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}}
    error = translated(refused(404, body), server="anthropic")
    assert isinstance(error, UpstreamModelMissing)
    assert error.message == "anthropic answered 404: model: claude-9"


@pytest.mark.parametrize("body", [None, [], {"error": "no"}, {"error": {"message": 7, "type": []}}])
def test_an_error_of_no_known_form_is_told_in_the_sdk_s(body: object) -> None:
    error = translated(refused(400, body), server="anthropic")
    assert type(error) is UpstreamRejected
    assert error.message == "anthropic answered 400: the SDK's own words"


def test_a_page_in_the_place_of_an_error_is_cut_short() -> None:
    error = translated(refused(502, "<html>" + "Bad gateway. " * 10_000), server="anthropic")
    assert type(error) is Unavailable
    assert len(error.message) < 500


def test_the_wait_that_a_limit_asks_for_is_handed_on() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
    error = translated(refused(429, body, **{"retry-after": "7"}), server="anthropic")
    assert type(error) is RateLimited
    assert error.retry_after_seconds == 7


def test_a_spend_limit_is_not_waited_for() -> None:
    details = {"error_code": "enforced_spend_limit_reached"}
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Spent", "details": details}}
    assert type(translated(refused(429, body), server="anthropic")) is UpstreamDenied


def test_an_error_inside_a_stream_is_classed_without_the_status_that_began_well() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    error = translated(refused(200, body), server="anthropic")
    assert type(error) is Unavailable
    assert error.message == "anthropic broke off: Overloaded"


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (httpx2.ConnectError("refused"), Unavailable),
        (httpx2.ConnectTimeout("slow"), Unavailable),
        (httpx2.ReadError("reset"), BadUpstream),
        (httpx2.RemoteProtocolError("cut"), BadUpstream),
    ],
)
def test_a_connection_is_away_or_broken(cause: httpx2.RequestError, expected: type[ProviderError]) -> None:
    wrapped = anthropic.APIConnectionError(request=REQUEST)
    wrapped.__cause__ = cause
    for error in (cause, wrapped):
        made = translated(error, server="anthropic")
        assert type(made) is expected
        assert str(cause) in made.message


def test_the_key_is_in_no_error() -> None:
    body = {"type": "error", "error": {"type": "authentication_error", "message": "invalid key: sk-1"}}
    assert translated(refused(401, body), server="anthropic", secret="sk-1").message.endswith("invalid key: ***")
    unsendable = httpx2.LocalProtocolError(r"Illegal header value b'Bearer sk\x001'")
    error = translated(unsendable, server="anthropic", secret="sk\x001")
    assert type(error) is UpstreamDenied
    assert "sk" not in error.message
