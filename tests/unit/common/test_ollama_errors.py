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
from common.providers.ollama_errors import Complaints

SECRET = "password-that-nobody-may-see"


def refused(status: int, said: Any, **headers: str) -> ProviderError:
    body = said if isinstance(said, bytes) else json.dumps({"error": said}).encode()
    return Complaints("ollama", "llama3.1", SECRET).refused(status, headers, body)


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, "invalid options: temperature", UpstreamRejected),
        (400, "registry.ollama.ai/library/gemma:2b does not support tools", Unsupported),
        (400, '"nomic-embed-text" does not support chat', Unsupported),
        (400, "the input length exceeds the context length", ContextTooLong),
        (401, "unauthorized", UpstreamDenied),
        (402, "subscription required", UpstreamDenied),
        (404, "model 'llama3.1' not found", UpstreamModelMissing),
        (404, b"404 page not found", UpstreamRejected),
        (413, b"", ContextTooLong),
        (429, "too many requests", RateLimited),
        (500, "model requires more system memory (5.6 GiB) than is available (4.5 GiB)", Unavailable),
        (502, b"<html>", Unavailable),
        (503, "server busy, please try again.  maximum pending requests exceeded", Unavailable),
        (304, b"", BadUpstream),
        # gateways in Ollama's place
        (400, {"message": "No.", "type": "invalid_request_error", "code": "content_filter"}, ContentRefused),
        (503, {"message": "No.", "type": "rate_limit_error", "code": None}, RateLimited),
    ],
)
def test_an_error_is_classed_by_what_the_server_says_of_it(
    status: int, said: Any, expected: type[ProviderError]
) -> None:
    assert type(refused(status, said)) is expected


def test_a_missing_model_comes_with_the_command_that_brings_it() -> None:
    message = refused(404, "model 'llama3.1' not found").message
    assert message == "ollama answered 404: model 'llama3.1' not found (on its machine: `ollama pull llama3.1`)"


def test_a_server_that_is_no_ollama_comes_with_the_setting_to_look_at() -> None:
    assert "OLLAMA_BASE_URL" in refused(404, b"404 page not found").message


def test_a_wish_for_patience_is_handed_on() -> None:
    assert refused(503, "server busy", **{"retry-after": "7"}).retry_after_seconds == 7
    assert refused(503, "server busy").retry_after_seconds is None


def test_a_message_is_bounded_storable_and_has_no_secret_in_it() -> None:
    message = refused(500, f"\x00 {SECRET} " + "on and on " * 10_000).message
    assert message.startswith("ollama answered 500: \N{REPLACEMENT CHARACTER} *** on and on")
    assert len(message) < 500


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b'{"error": ""}', b'{"error": [1]}', b"[" * 60_000])
def test_an_error_says_something_whatever_its_body(body: bytes) -> None:
    assert refused(500, body).message.removeprefix("ollama answered 500: ")
