"""Counting a prompt's tokens, and what else lies below Anthropic's path."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from api.auth import Auth
from api.gateway.app import Gateway
from api.gateway.generating import Generating
from api.gateway.limited import Limited
from api.gateway.token_counting import TokenCounting
from api.gateway.translating import Translating
from api.gateway.ways import Ways
from api.metrics import Metrics
from common.errors import RateLimited
from common.providers.google import Google
from common.providers.mock import MockProvider
from common.providers.protocol import ModelRequest, TokenCounter
from common.telemetry.port import Silent
from tests.unit.api.gateway.test_thinking import OneAdapter
from tests.unit.common.catalogs import catalog, settings

MODELS = """\
    defaults: {models: [mock-a]}
    models:
      mock-a: {}
      anthropic-claude: {name: claude-n, aliases: [claude], system: Be brief., capabilities: [chat, tools]}
      openai-gpt: {}
      ollama-llama: {}
      local-tiny: {source: {path: tiny.gguf}, engine: llamacpp, memory: 1 GiB}
"""
COUNT = "/v1/messages/count_tokens"
HELLO: dict[str, Any] = {"model": "claude", "messages": [{"role": "user", "content": "Why?"}]}
UNUSED: Any = None  # no test here gets so far


class Counter(MockProvider):
    """Counts a hundred. Keeps what it was asked."""

    name = "anthropic"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ModelRequest] = []
        self.is_busy = False

    async def count_tokens(self, request: ModelRequest) -> int:
        self.asked.append(request)
        if self.is_busy:
            raise RateLimited("anthropic answered 429: Not now.", retry_after_seconds=7)
        return 100


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def gateway(tmp_path: Path, counter: Counter) -> Gateway:
    models = catalog(tmp_path, MODELS)
    ways = Ways(settings(), lambda: models, Translating(OneAdapter(tmp_path, counter)), UNUSED, UNUSED)
    return Gateway(
        Auth(UNUSED, is_required=False),
        lambda: models,
        Generating(UNUSED, UNUSED, UNUSED, max_body_bytes=1000),
        TokenCounting(lambda: models, ways, Limited(UNUSED, lambda: models), max_body_bytes=1000),
        UNUSED,
        Metrics(),
        Silent(),
        host_names=None,
    )


async def call(gateway: Gateway, path: str, body: Any = None, method: str = "POST") -> tuple[int, Any]:
    """The status and the document of the answer."""
    sent: list[Any] = []
    content = orjson.dumps(HELLO if body is None else body)
    headers = [(b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01")]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"beta=true", "headers": headers}

    async def receive() -> Any:
        return {"type": "http.request", "body": content}

    async def send(event: Any) -> None:
        sent.append(event)

    await gateway(scope, receive, send)
    start, *pieces = sent
    return start["status"], orjson.loads(b"".join(piece["body"] for piece in pieces))


async def test_a_prompt_is_counted_as_it_would_be_asked(gateway: Gateway, counter: Counter) -> None:
    tool = {"name": "now", "description": "The time.", "input_schema": {"type": "object"}}
    assert await call(gateway, COUNT, {**HELLO, "system": "In verse.", "tools": [tool]}) == (200, {"input_tokens": 100})
    [request] = counter.asked
    assert request.model == "claude-n"
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be brief.\n\nIn verse."),
        ("user", "Why?"),
    ]
    assert [one.name for one in request.tools] == ["now"]


@pytest.mark.parametrize("model", ["openai-gpt", "local-tiny", "ultra-compare"])
async def test_what_nobody_counts_is_not_found(gateway: Gateway, counter: Counter, model: str) -> None:
    status, said = await call(gateway, COUNT, {**HELLO, "model": model})
    assert (status, said["type"], said["error"]["type"]) == (404, "error", "not_found_error")
    assert said["error"]["message"].startswith(f"The tokens of {model} cannot be counted")
    assert not counter.asked


def test_of_our_adapters_some_count_and_others_do_not() -> None:
    assert isinstance(MockProvider(), TokenCounter)
    assert issubclass(Google, TokenCounter)


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({"model": "claude"}, 400, "invalid_request_error", "messages: must be a list"),
        ({**HELLO, "model": "clod"}, 404, "not_found_error", "No model 'clod'"),
        ({**HELLO, "thinking": {"type": "enabled", "budget_tokens": 2000}}, 400, "invalid_request_error", "thinking: "),
        ({**HELLO, "system": "x" * 1000}, 413, "request_too_large", ""),
    ],
)
async def test_what_is_wrong_is_told_as_anthropic_does(
    gateway: Gateway, body: dict[str, Any], status: int, kind: str, message: str
) -> None:
    got, said = await call(gateway, COUNT, body)
    assert (got, said["type"], said["error"]["type"]) == (status, "error", kind)
    assert message in said["error"]["message"]


async def test_a_server_that_does_not_count_just_now_is_heard(gateway: Gateway, counter: Counter) -> None:
    counter.is_busy = True
    status, said = await call(gateway, COUNT)
    assert (status, said["error"]["type"]) == (429, "rate_limit_error")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/messages/batches/b/results", 404, "not_found_error"),
        ("GET", COUNT, 405, "invalid_request_error"),
    ],
)
async def test_what_lies_below_anthropic_s_path_answers_in_its_words(
    gateway: Gateway, method: str, path: str, status: int, kind: str
) -> None:
    got, said = await call(gateway, path, method=method)
    assert (got, said["type"], said["error"]["type"]) == (status, "error", kind)


async def test_other_paths_answer_in_openai_s(gateway: Gateway) -> None:
    status, said = await call(gateway, "/v1/messages_of_mine")
    assert (status, said["error"]["code"]) == (404, "unknown_url")
