"""What only the Google adapter can get right or wrong: the bytes on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

import pytest

from common.contracts.calls import Usage
from common.contracts.messages import ImagePart, Message, Tool, ToolCall
from common.contracts.reasoning import Reasoning
from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Timeout,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers.complete import Completion, complete
from common.providers.google import MAX_PAGES, TEXTS_A_BATCH, Google
from common.providers.http import Proxies
from common.providers.protocol import EmbeddingRequest, ModelRequest
from common.providers.sse import MAX_EVENT_BYTES
from tests.contract.exchange import Exchange
from tests.contract.gemini_server import (
    MODEL,
    GeminiServer,
    answering,
    chunk,
    encoded,
    finish,
    query_of,
    refusing,
    say,
    saying,
    texts_of,
)
from tests.contract.scripted_server import API_KEY, Script, sending
from tests.contract.subjects import QUESTION
from tests.contract.subjects_google import google as adapter

WEATHER = Tool(
    name="weather",
    description="Weather of a town.",
    parameters={"type": "object", "properties": {"town": {"enum": ["Bern"]}}, "required": ["town"]},
)
USAGE = Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
OVERLOADED = {"error": {"code": 503, "message": f"The model is overloaded, {API_KEY}", "status": "UNAVAILABLE"}}


@pytest.fixture
async def server() -> AsyncIterator[GeminiServer]:
    async with GeminiServer().running() as running:
        yield running


@pytest.fixture
async def provider(server: GeminiServer) -> AsyncIterator[Google]:
    made = adapter(server.url)
    yield made
    await made.close()


def asked(**fields: Any) -> ModelRequest:
    return ModelRequest(**{"model": MODEL, "messages": QUESTION, "timeout_seconds": 20, **fields})


async def answer_to(server: GeminiServer, provider: Google, script: Script, **fields: Any) -> Completion:
    server.script = script
    return await complete(provider, asked(**fields))


async def test_the_request_says_what_was_asked_and_no_more(server: GeminiServer, provider: Google) -> None:
    system = Message(role="system", content="Be brief.")
    schema = {"type": "object", "properties": {}}
    request = asked(
        messages=(system, *QUESTION),
        temperature=0.0,
        max_tokens=7,
        stop=("END",),
        tools=(WEATHER,),
        tool_choice="required",
        schema=schema,
        extra={"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    )
    await complete(provider, request)
    [exchange] = server.exchanges
    assert exchange.method == "POST"
    assert exchange.path == f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
    assert exchange.headers["content-type"] == "application/json"
    assert exchange.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": QUESTION[0].content}]}],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "weather",
                        "description": "Weather of a town.",
                        "parametersJsonSchema": WEATHER.parameters,
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "temperature": 0.0,
            "maxOutputTokens": 7,
            "stopSequences": ["END"],
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
            "thinkingConfig": {"thinkingBudget": 0},
        },
    }


async def test_what_was_not_asked_is_left_to_the_server(server: GeminiServer, provider: Google) -> None:
    await complete(provider, asked())
    assert server.exchanges[0].body.keys() == {"contents"}


async def test_the_key_is_in_its_header_and_in_no_url(server: GeminiServer, provider: Google) -> None:
    await complete(provider, asked())
    server.script = answering({"embeddings": [{"values": [1]}]})
    await provider.embed(EmbeddingRequest(MODEL, ("river",)))
    server.script = answering({})
    await provider.list_models()
    assert len(server.exchanges) == 3
    for exchange in server.exchanges:
        assert exchange.headers["x-goog-api-key"] == API_KEY
        assert "authorization" not in exchange.headers
        assert API_KEY not in exchange.path


async def test_without_a_key_there_is_no_header(server: GeminiServer) -> None:
    provider = Google(server.url + "/", None, proxies=Proxies())
    await complete(provider, asked())
    [exchange] = server.exchanges
    assert "x-goog-api-key" not in exchange.headers
    assert exchange.path.startswith("/v1beta/models/")
    await provider.close()


async def test_a_key_that_the_server_repeats_is_not_shown(server: GeminiServer, provider: Google) -> None:
    script = refusing(400, "INVALID_ARGUMENT", f"API key {API_KEY} not valid.", INVALID_KEY)
    with pytest.raises(UpstreamDenied, match=r"google answered 400: API key \*\*\* not valid\.") as caught:
        await answer_to(server, provider, script)
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (refusing(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8)."), ContextTooLong),
        (refusing(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"), UpstreamRejected),
        (refusing(400, "INVALID_ARGUMENT", "API key not valid.", INVALID_KEY), UpstreamDenied),
        (refusing(403, "PERMISSION_DENIED", "Method blocked."), UpstreamDenied),
        (refusing(404, "NOT_FOUND", "models/x is not found for API version v1beta"), UpstreamModelMissing),
        (refusing(429, "RESOURCE_EXHAUSTED", "Quota exceeded."), RateLimited),
        (refusing(500, "INTERNAL", "Internal error."), Unavailable),
        (refusing(503, "UNAVAILABLE", "The model is overloaded."), Unavailable),
        (refusing(504, "DEADLINE_EXCEEDED", "The request timed out."), Unavailable),
    ],
)
async def test_an_error_is_asked_about_once(
    server: GeminiServer, provider: Google, script: Script, expected: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as caught:
        await answer_to(server, provider, script)
    assert type(caught.value) is expected
    assert len(server.exchanges) == 1


async def test_a_wait_is_asked_for_in_the_details_and_before_that_in_the_header(
    server: GeminiServer, provider: Google
) -> None:
    for headers, seconds in (({}, 34.5), ({"retry_after": "7"}, 7)):
        with pytest.raises(RateLimited) as caught:
            await answer_to(server, provider, refusing(429, "RESOURCE_EXHAUSTED", "Slow down.", RETRY, **headers))
        assert caught.value.retry_after_seconds == seconds


async def test_a_stream_is_read_with_all_that_stands_beside_the_answer(server: GeminiServer, provider: Google) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await say(exchange, {"text": "The user wants…", "thought": True})
        await say(exchange, {"text": "So ", "thoughtSignature": "c2lnbmVk"})
        await exchange.raw(encoded({"usageMetadata": {"promptTokenCount": 3}, "modelVersion": MODEL}))
        await say(exchange, {"executableCode": {"code": "1 + 1"}}, {"text": "it is."}, safetyRatings=[])
        await finish(exchange, cachedContentTokenCount=2, thoughtsTokenCount=90, totalTokenCount=97)

    usage = Usage(prompt_tokens=3, completion_tokens=94, total_tokens=97, cached_prompt_tokens=2)
    assert await answer_to(server, provider, script) == Completion("So it is.", "stop", usage)
    shown = await answer_to(server, provider, script, reasoning=Reasoning(budget_tokens=2000))
    assert shown == Completion("So it is.", "stop", usage, thoughts="The user wants…")
    config = {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000}}
    assert server.exchanges[-1].body["generationConfig"] == config


async def test_a_prompt_is_counted_as_it_would_be_asked(server: GeminiServer, provider: Google) -> None:
    server.script = answering({"totalTokens": 14})
    assert await provider.count_tokens(asked(max_tokens=7)) == 14
    [exchange] = server.exchanges
    assert exchange.path == f"/v1beta/models/{MODEL}:countTokens"
    assert exchange.body["generateContentRequest"] == {
        "model": f"models/{MODEL}",
        "contents": [{"role": "user", "parts": [{"text": QUESTION[0].content}]}],
        "generationConfig": {"maxOutputTokens": 7},
    }
    server.script = answering({"totalTokens": "many"})
    with pytest.raises(BadUpstream, match="google counted in no form that we know"):
        await provider.count_tokens(asked())


async def test_events_are_whole_however_their_bytes_arrive(server: GeminiServer, provider: Google) -> None:
    body = b": waiting\r\n\r\n" + encoded(chunk({"text": "Größe 🙂"})) + encoded(chunk(finishReason="STOP"))
    answer = await answer_to(server, provider, sending(*(body[place : place + 1] for place in range(len(body)))))
    assert answer == Completion("Größe 🙂", "stop", None)


async def test_a_character_cut_in_half_between_two_events_is_whole(server: GeminiServer, provider: Google) -> None:
    assert (
        await answer_to(server, provider, saying("\ud83d", "\ude42 a\x00b"))
    ).text == "🙂 a\N{REPLACEMENT CHARACTER}b"


async def test_a_tool_is_called_and_its_result_taken(server: GeminiServer, provider: Google) -> None:
    async def calling(exchange: Exchange) -> None:
        await exchange.begin()
        called = {"name": "weather", "args": {"town": "Bern"}}
        await say(exchange, {"functionCall": called}, {"functionCall": {"id": "zx81", **called}})
        await finish(exchange)

    first = await answer_to(server, provider, calling, tools=(WEATHER,))
    assert first.finish_reason == "tool_calls"
    assert first.tool_calls == (
        ToolCall(id="call_0", name="weather", arguments='{"town": "Bern"}'),
        ToolCall(id="zx81", name="weather", arguments='{"town": "Bern"}'),
    )
    conversation = (
        *QUESTION,
        Message(role="assistant", tool_calls=first.tool_calls),
        Message(role="tool", tool_call_id="call_0", content="Rain."),
        Message(role="tool", tool_call_id="zx81", content="Snow."),
    )
    second = await answer_to(server, provider, saying("Rain or snow."), messages=conversation, tools=(WEATHER,))
    assert second == Completion("Rain or snow.", "stop", USAGE)
    _, called, result = server.exchanges[1].body["contents"]
    assert [part["functionCall"] for part in called["parts"]] == [
        {"name": "weather", "args": {"town": "Bern"}},
        {"id": "zx81", "name": "weather", "args": {"town": "Bern"}},
    ]
    assert result == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "weather", "response": {"output": "Rain."}}},
            {"functionResponse": {"id": "zx81", "name": "weather", "response": {"output": "Snow."}}},
        ],
    }


async def test_a_blocked_prompt_is_refused(server: GeminiServer, provider: Google) -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}
    with pytest.raises(ContentRefused, match="google blocked the prompt: PROHIBITED_CONTENT"):
        await answer_to(server, provider, sending(encoded(blocked)))


async def test_an_answer_withheld_is_refused_and_one_cut_short_says_so(server: GeminiServer, provider: Google) -> None:
    with pytest.raises(ContentRefused, match="google withheld the answer: SAFETY"):
        await answer_to(server, provider, saying(reason="SAFETY"))
    cut = await answer_to(server, provider, saying("I would take", reason="SAFETY"))
    assert cut == Completion("I would take", "content_filter", USAGE)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "SOMETHING_NEW"])
async def test_an_end_that_is_none_of_an_answer_is_no_whole_answer(
    server: GeminiServer, provider: Google, reason: str
) -> None:
    with pytest.raises(BadUpstream, match=f"google ended its answer with {reason}"):
        await answer_to(server, provider, saying("Yes.", reason=reason))


@pytest.mark.parametrize(
    "data",
    [
        encoded(OVERLOADED),
        json.dumps(OVERLOADED, indent=2).replace("\n", "\r\n").encode(),  # as Google itself writes it
        json.dumps([OVERLOADED]).encode(),
    ],
)
async def test_an_error_in_the_middle_of_a_stream_is_its_error(
    server: GeminiServer, provider: Google, data: bytes
) -> None:
    server.script = sending(encoded(chunk({"text": "Once upon"})), data)
    async with aclosing(provider.stream(asked())) as stream:
        assert (await anext(stream)).text == "Once upon"
        with pytest.raises(Unavailable, match=r"google broke off: The model is overloaded, \*\*\*"):
            await anext(stream)


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"candidates": [\n\n',
        b'data: {"candidates": "none of your business"}\n\n',
        b"data: []\n\n",
        b'data: {"candidates": [{"content": {"parts": [{"text": "\xff\xfe"}]}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"<html>Sign in to the guest network</html>",
    ],
)
async def test_what_is_no_event_breaks_the_answer(server: GeminiServer, provider: Google, data: bytes) -> None:
    with pytest.raises(BadUpstream, match="no piece of an answer"):
        await answer_to(server, provider, sending(data, encoded(chunk(finishReason="STOP"))))


async def test_a_stream_that_ends_without_a_reason_has_broken_off(server: GeminiServer, provider: Google) -> None:
    with pytest.raises(BadUpstream, match="broke off in the middle"):
        await answer_to(server, provider, sending(encoded(chunk({"text": "Once upon"}))))


async def test_an_event_without_an_end_is_left(server: GeminiServer, provider: Google) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.raw(b'data: {"candidates": "')
        while not exchange._writer.is_closing():
            await exchange.raw(b"x" * (MAX_EVENT_BYTES // 16))

    with pytest.raises(BadUpstream, match=f"an event of more than {MAX_EVENT_BYTES} bytes"):
        await answer_to(server, provider, script)


async def test_what_google_cannot_do_is_refused_before_a_byte_is_sent(server: GeminiServer, provider: Google) -> None:
    unfetched = Message(role="user", content=(ImagePart(url="http://example.org/cat.png"),))
    with pytest.raises(Unsupported, match="https"):
        await complete(provider, asked(messages=(unfetched,)))
    orphan = Message(role="tool", tool_call_id="call_7", content="Rain.")
    with pytest.raises(UpstreamRejected, match="'call_7' answers no call"):
        await complete(provider, asked(messages=(*QUESTION, orphan)))
    assert server.connections == 0


async def test_texts_are_embedded_in_batches_and_their_order_kept(server: GeminiServer, provider: Google) -> None:
    async def script(exchange: Exchange) -> None:
        vectors = [{"values": [float(len(text)), 0.5]} for text in texts_of(exchange)]
        usage = {"promptTokenCount": len(vectors)}
        await exchange.answer(200, {"embeddings": vectors, "usageMetadata": usage}, content_type="application/json")

    server.script = script
    texts = tuple("x" * place for place in range(TEXTS_A_BATCH + 1))
    embeddings = await provider.embed(EmbeddingRequest("gemini-embedding-001", texts, dimensions=2))
    assert embeddings.vectors == tuple((float(place), 0.5) for place in range(TEXTS_A_BATCH + 1))
    assert embeddings.usage == Usage(prompt_tokens=TEXTS_A_BATCH + 1, total_tokens=TEXTS_A_BATCH + 1)
    first, last = server.exchanges
    assert (len(texts_of(first)), len(texts_of(last))) == (TEXTS_A_BATCH, 1)
    assert last.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert last.body["requests"] == [
        {
            "model": "models/gemini-embedding-001",
            "content": {"parts": [{"text": texts[-1]}]},
            "outputDimensionality": 2,
        }
    ]


@pytest.mark.parametrize(
    "sent", ["<html>", '{"embeddings": [', "{}", {"embeddings": []}, {"embeddings": [{"values": "none"}]}]
)
async def test_vectors_of_another_form_or_number_are_none(server: GeminiServer, provider: Google, sent: Any) -> None:
    server.script = answering(sent)
    with pytest.raises(BadUpstream, match="google sent"):
        await provider.embed(EmbeddingRequest(MODEL, ("river",)))


async def test_embedding_has_a_deadline_too(
    server: GeminiServer, provider: Google, pass_time: Callable[[float], None]
) -> None:
    server.script = Exchange.until_client_leaves
    asking = asyncio.create_task(provider.embed(EmbeddingRequest(MODEL, ("river",), timeout_seconds=60)))
    await server.was_asked.wait()
    pass_time(60)
    with pytest.raises(Timeout, match="within 60 s"):
        await asking
    await server.exchanges[0].client_left.wait()


async def test_models_are_listed_page_by_page(server: GeminiServer, provider: Google) -> None:
    pages = {None: (["models/a", "tunedModels/b"], "next"), "next": (["models/c"], "")}

    async def script(exchange: Exchange) -> None:
        query = parse_qs(query_of(exchange))
        assert query["pageSize"] == ["1000"]
        names, following = pages[query.get("pageToken", [None])[0]]
        listed = {"models": [{"name": name} for name in names], "nextPageToken": following}
        await exchange.answer(200, listed, content_type="application/json")

    server.script = script
    assert await provider.list_models() == ["a", "tunedModels/b", "c"]


async def test_a_list_without_an_end_is_not_followed_for_ever(server: GeminiServer, provider: Google) -> None:
    server.script = answering({"models": [{"name": "models/again"}], "nextPageToken": "more"})
    assert await provider.list_models() == ["again"] * MAX_PAGES


@pytest.mark.parametrize("listed", ["<html>", '{"models": [', '{"models": 7}', "[]"])
async def test_a_list_of_no_known_form_is_no_list(server: GeminiServer, provider: Google, listed: str) -> None:
    server.script = answering(listed)
    with pytest.raises(BadUpstream):
        await provider.list_models()
