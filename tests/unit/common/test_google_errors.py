import json
from typing import Any

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
from common.providers.google_errors import Complaints, error_in

SECRET = "key-that-nobody-may-see"
TOO_MANY = "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
INVALID_KEY = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]


def error(status: str | None, message: str = "No.", **fields: Any) -> dict[str, Any]:
    return {"message": message, "status": status, **fields}


def refused(status: int, said: Any, **headers: str) -> ProviderError:
    body = said if isinstance(said, bytes) else json.dumps({"error": said}).encode()
    return Complaints("google", SECRET).refused(status, headers, body)


def waiting(delay: object) -> dict[str, Any]:
    return error("RESOURCE_EXHAUSTED", details=[{"reason": "RATE_LIMIT_EXCEEDED"}, {"retryDelay": delay}])


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, error("INVALID_ARGUMENT", TOO_MANY), ContextTooLong),
        (400, error("INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."), ContextTooLong),
        (400, error("INVALID_ARGUMENT", "Unknown name"), UpstreamRejected),
        (400, error("INVALID_ARGUMENT", "API key not valid.", details=INVALID_KEY), UpstreamDenied),
        (400, error("FAILED_PRECONDITION", "User location is not supported for the API use."), UpstreamDenied),
        (401, error("UNAUTHENTICATED"), UpstreamDenied),
        (403, error("PERMISSION_DENIED"), UpstreamDenied),
        (404, error("NOT_FOUND"), UpstreamModelMissing),
        (404, b"<html>", UpstreamRejected),
        (413, b"<html>Your client issued a request that was too large.", ContextTooLong),
        (429, error("RESOURCE_EXHAUSTED", "Quota exceeded for metric: input_token_count, limit: 0"), RateLimited),
        (429, b"", RateLimited),
        (499, error("CANCELLED"), Unavailable),
        (500, error("INTERNAL"), Unavailable),
        (501, error("UNIMPLEMENTED"), Unsupported),
        (502, b"<html>", Unavailable),
        (503, error("UNAVAILABLE"), Unavailable),
        (504, error("DEADLINE_EXCEEDED"), Unavailable),
        (307, b"", BadUpstream),
        # gateways in Google's place
        (400, error("content_filter"), ContentRefused),
        (429, {"message": "No.", "code": "rate_limit_exceeded"}, RateLimited),
        (503, "busy", Unavailable),
    ],
)
def test_an_error_is_classed_by_what_google_says_of_it(status: int, said: Any, expected: type[ProviderError]) -> None:
    assert type(refused(status, said)) is expected


def test_a_server_that_is_not_google_comes_with_the_setting_to_look_at() -> None:
    assert "GOOGLE_BASE_URL" in refused(404, b"<html>Not here").message


def test_an_error_may_stand_in_a_list() -> None:
    body = json.dumps([{"error": error("RESOURCE_EXHAUSTED", "Slow down.")}]).encode()
    assert refused(429, body).message == "google answered 429: Slow down."


@pytest.mark.parametrize(("delay", "seconds"), [("34s", 34), ("0.5s", 0.5), ("0s", 0)])
def test_the_wait_that_the_details_ask_for_is_handed_on(delay: str, seconds: float) -> None:
    assert refused(429, waiting(delay)).retry_after_seconds == seconds
    assert Complaints("google").broke_off(waiting(delay)).retry_after_seconds == seconds


@pytest.mark.parametrize("delay", ["soon", "", "-1s", "inf", "nans", None, 34])
def test_a_wait_that_makes_no_sense_is_none(delay: object) -> None:
    told = refused(429, waiting(delay))
    assert type(told) is RateLimited
    assert told.retry_after_seconds is None


def test_the_header_is_heard_before_the_details() -> None:
    assert refused(429, waiting("34s"), **{"retry-after": "7"}).retry_after_seconds == 7


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (error("UNAVAILABLE", code=503), Unavailable),
        (error("RESOURCE_EXHAUSTED", code=429), RateLimited),
        (error("INVALID_ARGUMENT", TOO_MANY, code=400), ContextTooLong),
        (error(None, code=503), Unavailable),
        (error(None), BadUpstream),
        ("It fell over.", BadUpstream),
        ([1], BadUpstream),
    ],
)
def test_an_error_in_a_stream_is_classed_alike(said: Any, expected: type[ProviderError]) -> None:
    assert type(Complaints("google").broke_off(said)) is expected


def test_a_message_is_bounded_storable_and_has_no_secret_in_it() -> None:
    message = refused(500, error("INTERNAL", f"\x00 {SECRET} " + "on and on " * 10_000)).message
    assert message.startswith("google answered 500: \N{REPLACEMENT CHARACTER} *** on and on")
    assert len(message) < 500


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"7", b'{"error": ""}', b'{"error": [1]}', b"[" * 60_000])
def test_an_error_says_something_whatever_its_body(body: bytes) -> None:
    assert refused(500, body).message.removeprefix("google answered 500: ")


def test_a_document_without_an_error_has_none() -> None:
    assert not any(error_in(document) for document in ({}, {"candidates": []}, [], [7], 7, None))
