"""What only the Anthropic adapter can get right or wrong: the bytes on the wire."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from common.contracts.calls import Usage
from common.contracts.messages import Message, Tool
from common.contracts.reasoning import Reasoning
from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamRejected,
)
from common.providers.anthropic import MAX_PAGES, Anthropic
from common.providers.complete import Completion, complete
from common.providers.http import Proxies
from common.providers.protocol import EmbeddingRequest, ModelRequest
from tests.contract.exchange import Exchange
from tests.contract.messages_server import MODEL, MessagesServer, begin, event, finish, refusing, say, saying
from tests.contract.scripted_server import API_KEY, Script
from tests.contract.subjects import QUESTION
from tests.contract.subjects_anthropic import anthropic as adapter


@pytest.fixture
async def server() -> AsyncIterator[MessagesServer]:
    async with MessagesServer().running() as running:
        yield running


@pytest.fixture
async def provider(server: MessagesServer) -> AsyncIterator[Anthropic]:
    made = adapter(server.url)
    yield made
    await made.close()


def asked(**fields: Any) -> ModelRequest:
    return ModelRequest(**{"model": MODEL, "messages": QUESTION, "timeout_seconds": 20, **fields})


async def answer_to(server: MessagesServer, provider: Anthropic, script: Script) -> Completion:
    server.script = script
    return await complete(provider, asked())


async def test_the_request_says_what_was_asked_and_no_more(server: MessagesServer, provider: Anthropic) -> None:
    system = Message(role="system", content="Be brief.")
    tool = Tool(name="now", description="The time.")
    request = asked(
        messages=(system, *QUESTION),
        temperature=0.0,
        max_tokens=7,
        stop=("END",),
        tools=(tool,),
        tool_choice="required",
        schema={"type": "object", "properties": {}},
        extra={"top_k": 5},
    )
    await complete(provider, request)
    [exchange] = server.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/messages")
    assert exchange.headers["x-api-key"] == API_KEY
    assert exchange.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in exchange.headers
    assert exchange.body == {
        "model": MODEL,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION[0].content}]}],
        "max_tokens": 7,
        "temperature": 0.0,
        "stop_sequences": ["END"],
        "tools": [{"name": "now", "description": "The time.", "input_schema": tool.parameters}],
        "tool_choice": {"type": "any"},
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            }
        },
        "top_k": 5,
        "stream": True,
    }


async def test_a_prompt_is_counted_as_it_would_be_asked(server: MessagesServer, provider: Anthropic) -> None:
    async def counting(exchange: Exchange) -> None:
        await exchange.answer(200, {"input_tokens": 14}, content_type="application/json")

    server.script = counting
    system, tool = Message(role="system", content="Be brief."), Tool(name="now", description="The time.")
    request = asked(messages=(system, *QUESTION), tools=(tool,), temperature=0.5, reasoning=Reasoning(effort="low"))
    assert await provider.count_tokens(request) == 14
    [exchange] = server.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/messages/count_tokens")
    assert exchange.headers["x-api-key"] == API_KEY
    assert exchange.body == {
        "model": MODEL,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION[0].content}]}],
        "tools": [{"name": "now", "description": "The time.", "input_schema": tool.parameters}],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"},
    }


@pytest.mark.parametrize("said", [{}, {"input_tokens": "many"}, {"input_tokens": -1}, [14]])
async def test_a_count_that_is_none_is_an_error(server: MessagesServer, provider: Anthropic, said: Any) -> None:
    async def counting(exchange: Exchange) -> None:
        await exchange.answer(200, said, content_type="application/json")

    server.script = counting
    with pytest.raises(BadUpstream, match="anthropic counted in no form that we know"):
        await provider.count_tokens(asked())


async def test_a_refusal_to_count_is_its_error_without_the_key(server: MessagesServer, provider: Anthropic) -> None:
    server.script = refusing(429, "rate_limit_error", f"Not now, {API_KEY}")
    with pytest.raises(RateLimited, match=r"anthropic answered 429: Not now, \*\*\*"):
        await provider.count_tokens(asked())


async def test_a_long_answer_may_be_asked_for(server: MessagesServer, provider: Anthropic) -> None:
    await complete(provider, asked(max_tokens=131_072))
    assert server.exchanges[0].body["max_tokens"] == 131_072


async def test_nothing_of_the_sdk_s_environment_is_sent_or_obeyed(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = tmp_path / "configs" / "default.json"
    profile.parent.mkdir()
    profile.write_text('{"base_url": "http://127.0.0.1:9", "authentication": {"type": "user_oauth"}}')
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-token")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Api-Key: spy\nAnthropic-Version: 1\nX-Spy: on")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for key, sent in ((SecretStr(API_KEY), API_KEY), (None, "none")):
        provider = Anthropic(server.url, key, proxies=Proxies())
        assert (await complete(provider, asked())).text == "Yes."
        headers = server.exchanges[-1].headers
        assert headers["x-api-key"] == sent
        assert headers["anthropic-version"] == "2023-06-01"
        assert not headers.keys() & {"authorization", "x-spy"}
        await provider.close()


async def test_a_key_from_a_file_may_end_in_a_line_break(server: MessagesServer) -> None:
    provider = Anthropic(server.url, SecretStr(f"{API_KEY}\n"), proxies=Proxies())
    await complete(provider, asked())
    assert server.exchanges[0].headers["x-api-key"] == API_KEY
    await provider.close()


async def test_a_key_that_no_header_can_carry_is_not_shown(server: MessagesServer) -> None:
    provider = Anthropic(server.url, SecretStr("key\x00that-nobody-may-see"), proxies=Proxies())
    with pytest.raises(UpstreamDenied, match="characters that no key has") as caught:
        await complete(provider, asked())
    assert "nobody" not in str(caught.value)
    await provider.close()


async def test_a_key_that_the_server_repeats_is_not_shown(server: MessagesServer, provider: Anthropic) -> None:
    script = refusing(401, "authentication_error", f"invalid key {API_KEY}")
    with pytest.raises(UpstreamDenied, match=r"anthropic answered 401: invalid key \*\*\*") as caught:
        await answer_to(server, provider, script)
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (refusing(400, "invalid_request_error", "prompt is too long: 3 tokens > 2 maximum"), ContextTooLong),
        (refusing(400, "invalid_request_error", "Your credit balance is too low"), UpstreamDenied),
        (refusing(400, "invalid_request_error", "temperature: range: 0..1"), UpstreamRejected),
        (refusing(429, "rate_limit_error", "Slow down", retry_after="7"), RateLimited),
        (refusing(529, "overloaded_error", "Overloaded"), Unavailable),
    ],
)
async def test_an_error_is_asked_about_once(
    server: MessagesServer, provider: Anthropic, script: Script, expected: type[ProviderError]
) -> None:
    with pytest.raises(expected):
        await answer_to(server, provider, script)
    assert len(server.exchanges) == 1


async def test_a_message_is_read_with_all_that_stands_beside_the_answer(
    server: MessagesServer, provider: Anthropic
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        usage = {"input_tokens": 3, "cache_read_input_tokens": 90, "output_tokens": 1}
        await event(exchange, "message_start", message={"usage": usage})
        await event(exchange, "content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
        thought = {"type": "thinking_delta", "thinking": "Let me think."}
        await event(exchange, "content_block_delta", index=0, delta=thought)
        await event(exchange, "content_block_stop", index=0)
        await event(exchange, "ping")
        await event(exchange, "content_block_start", index=1, content_block={"type": "text", "text": ""})
        await say(exchange, "So ")
        await event(exchange, "ping")
        await say(exchange, "it is.")
        await finish(exchange)

    usage = Usage(prompt_tokens=93, completion_tokens=4, total_tokens=97, cached_prompt_tokens=90)
    assert await answer_to(server, provider, script) == Completion("So it is.", "stop", usage)
    shown = await complete(provider, asked(reasoning=Reasoning(budget_tokens=2000)))
    assert shown == Completion("So it is.", "stop", usage, thoughts="Let me think.")
    assert server.exchanges[-1].body["thinking"] == {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("overloaded_error", Unavailable), ("api_error", Unavailable), ("rate_limit_error", RateLimited)],
)
async def test_an_error_in_the_middle_of_a_message_is_its_error(
    server: MessagesServer, provider: Anthropic, kind: str, expected: type[ProviderError]
) -> None:
    async def script(exchange: Exchange) -> None:
        await begin(exchange)
        await say(exchange, "Once upon")
        await event(exchange, "error", error={"type": kind, "message": f"Not now, {API_KEY}"})
        await exchange.end()

    server.script = script
    async with aclosing(provider.stream(asked())) as stream:
        assert (await anext(stream)).text == "Once upon"
        with pytest.raises(expected, match=r"anthropic broke off: Not now, \*\*\*"):
            await anext(stream)


@pytest.mark.parametrize(
    "data",
    [
        b"event: error\ndata: {broken\n\n",
        b'event: content_block_delta\ndata: {"type": "content_block_del\n\n',
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": "none of your business"}\n\n',
        b'event: content_block_delta\ndata: {"delta": {"text": "\xff\xfe"}}\n\n',
    ],
)
async def test_what_is_no_event_breaks_the_message(server: MessagesServer, provider: Anthropic, data: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await begin(exchange)
        await exchange.raw(data)
        await finish(exchange)

    with pytest.raises(BadUpstream):
        await answer_to(server, provider, script)


async def test_a_refusal_is_no_answer(server: MessagesServer, provider: Anthropic) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "It may do harm."}
    with pytest.raises(ContentRefused, match=r"declined to answer: It may do harm\."):
        await answer_to(server, provider, saying("I", reason="refusal", stop_details=details))


async def test_what_anthropic_cannot_do_is_refused_before_a_byte_is_sent(
    server: MessagesServer, provider: Anthropic
) -> None:
    with pytest.raises(Unsupported, match=r"anthropic does not support seed\."):
        await complete(provider, asked(seed=1))
    with pytest.raises(Unsupported, match=r"anthropic does not support embeddings\."):
        await provider.embed(EmbeddingRequest(MODEL, ("river",)))
    assert server.exchanges == []


async def test_models_are_listed_page_by_page(server: MessagesServer, provider: Anthropic) -> None:
    pages = {None: ["a", "b"], "b": ["c"]}

    async def script(exchange: Exchange) -> None:
        query = parse_qs(urlsplit(exchange.path).query)
        assert query["limit"] == ["1000"]
        ids = pages[query.get("after_id", [None])[0]]
        listed = {"data": [{"id": name} for name in ids], "has_more": ids[-1] != "c", "last_id": ids[-1]}
        await exchange.answer(200, listed, content_type="application/json")

    server.script = script
    assert await provider.list_models() == ["a", "b", "c"]


async def test_a_list_without_an_end_is_not_followed_for_ever(server: MessagesServer, provider: Anthropic) -> None:
    async def script(exchange: Exchange) -> None:
        listed = {"data": [{"id": "again"}], "has_more": True, "last_id": "again"}
        await exchange.answer(200, listed, content_type="application/json")

    server.script = script
    assert await provider.list_models() == ["again"] * MAX_PAGES


@pytest.mark.parametrize("listed", ["<html>", '{"data": [', '{"data": 7}', "[]"])
async def test_a_list_of_no_known_form_is_no_list(server: MessagesServer, provider: Anthropic, listed: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, listed, content_type="application/json")

    server.script = script
    with pytest.raises(BadUpstream, match="no form that we know"):
        await provider.list_models()
