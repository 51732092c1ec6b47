"""What only the OpenAI-compatible adapter can get right or wrong: the bytes on the wire."""

from typing import Any

import pytest

from common.contracts.messages import ImagePart, Message, TextPart, ToolCall
from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    Timeout,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamRejected,
)
from common.providers.complete import Completion, complete
from common.providers.http import Proxies
from common.providers.openai_compatible import OpenAICompatible
from common.providers.protocol import EmbeddingRequest
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import API_KEY, PREFIX, Script
from tests.contract.subjects import QUESTION, ModelRunnerSubject, ScriptedSubject, openai_compatible
from tests.contract.test_images import PNG
from tests.contract.test_tools import ANSWERED, CLOCK, WEATHER
from tests.contract.troubles import EXPECTED, Trouble


async def answer_to(scripted: ScriptedSubject, script: Script) -> Completion:
    scripted.server.scripts["scripted"] = script
    return await complete(scripted.provider, scripted.asked(model="scripted", timeout_seconds=20))


def saying(*pieces: str | None, reason: str = "stop", **delta: Any) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for piece in pieces:
            await exchange.say(piece, **delta)
        await exchange.finish(reason)

    return script


async def test_the_request_says_what_was_asked_and_no_more(scripted: ScriptedSubject) -> None:
    request = scripted.asked(temperature=0.0, max_tokens=7, extra={"top_p": 0.9, "stream_options": None})
    await complete(scripted.provider, request)
    [exchange] = scripted.server.exchanges
    assert exchange.path == f"{PREFIX}/chat/completions"
    assert exchange.headers["authorization"] == f"Bearer {API_KEY}"
    assert exchange.body == {
        "model": "good",
        "messages": [{"role": "user", "content": QUESTION[0].content}],
        "stream": True,
        "temperature": 0.0,
        "max_tokens": 7,
        "top_p": 0.9,
    }


async def test_what_was_not_asked_is_left_to_the_server(scripted: ScriptedSubject) -> None:
    await complete(scripted.provider, scripted.asked())
    assert scripted.server.exchanges[0].body.keys() == {"model", "messages", "stream", "stream_options"}


async def sent(scripted: ScriptedSubject, **fields: Any) -> dict[str, Any]:
    await complete(scripted.provider, scripted.asked(**fields))
    return scripted.server.exchanges[-1].body


async def test_parameters_go_by_the_names_that_the_model_knows(scripted: ScriptedSubject) -> None:
    body = await sent(
        scripted,
        max_tokens=7,
        top_p=0.5,
        seed=3,
        stop=("\n\n", "end"),
        renamed={"max_tokens": "max_completion_tokens", "seed": "random_seed"},
        extra={"max_tokens": None, "seed": "as it is"},
    )
    assert body["max_completion_tokens"] == 7
    assert (body["random_seed"], body["seed"]) == (3, "as it is")
    assert (body["top_p"], body["stop"]) == (0.5, ["\n\n", "end"])
    assert "max_tokens" not in body


async def test_an_image_is_a_part_among_the_words(scripted: ScriptedSubject) -> None:
    message = Message(role="user", content=(TextPart(text="What is this?"), ImagePart(url=PNG)))
    assert (await sent(scripted, messages=(message,)))["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": PNG}},
            ],
        }
    ]


async def test_words_in_parts_are_sent_as_plain_text(scripted: ScriptedSubject) -> None:
    message = Message(role="user", content=(TextPart(text="One."), TextPart(text="Two.")))
    assert (await sent(scripted, messages=(message,)))["messages"] == [{"role": "user", "content": "One.\nTwo."}]


async def test_a_tool_its_call_and_its_result_are_said_as_openai_says_them(scripted: ScriptedSubject) -> None:
    body = await sent(scripted, messages=ANSWERED, tools=(WEATHER,))
    function = {"name": "get_weather", "description": "The weather in a city.", "parameters": WEATHER.parameters}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tool_choice" not in body
    _, called, result = body["messages"]
    assert called == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris", "unit": "celsius"}'},
            }
        ],
    }
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": 21, "sky": "clear"}'}


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
async def test_a_choice_of_tools_is_a_word(scripted: ScriptedSubject, choice: str) -> None:
    assert (await sent(scripted, tools=(WEATHER,), tool_choice=choice))["tool_choice"] == choice


async def test_a_tool_is_chosen_by_its_name(scripted: ScriptedSubject) -> None:
    body = await sent(scripted, tools=(WEATHER, CLOCK), tool_choice="tell_time")
    assert body["tool_choice"] == {"type": "function", "function": {"name": "tell_time"}}


async def test_a_choice_among_no_tools_is_not_sent(scripted: ScriptedSubject) -> None:
    assert "tool_choice" not in await sent(scripted, tool_choice="auto")


async def test_what_utf_8_cannot_carry_is_sent_nowhere(scripted: ScriptedSubject) -> None:
    body = await sent(
        scripted,
        stop=("\udc00",),
        messages=(*QUESTION, Message(role="assistant", tool_calls=(ToolCall(id="1", name="x", arguments="\ud83d"),))),
    )
    assert body["stop"] == ["\N{REPLACEMENT CHARACTER}"]
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("variable", "header"),
    [
        ("OPENAI_ORG_ID", "openai-organization"),
        ("OPENAI_PROJECT_ID", "openai-project"),
        ("OPENAI_CUSTOM_HEADERS", "x-secret"),
    ],
)
async def test_what_the_environment_holds_for_openai_is_told_to_nobody(
    scripted: ScriptedSubject, monkeypatch: pytest.MonkeyPatch, variable: str, header: str
) -> None:
    monkeypatch.setenv(variable, "x-secret: mine" if header == "x-secret" else "mine")
    provider = openai_compatible(scripted.server.url)
    await complete(provider, scripted.asked())
    await provider.close()
    headers = scripted.server.exchanges[-1].headers
    assert header not in headers
    assert "mine" not in headers.values()
    assert headers["authorization"] == f"Bearer {API_KEY}"


@pytest.mark.parametrize("trouble", [Trouble.RATE_LIMITED, Trouble.SERVER_ERROR, Trouble.AWAY, Trouble.DISCONNECT])
async def test_the_adapter_never_asks_twice(scripted: ScriptedSubject, trouble: Trouble) -> None:
    with pytest.raises(ProviderError):
        await complete(scripted.provider, scripted.troubled(trouble))
    assert len(scripted.server.exchanges) == 1


async def test_a_key_that_the_server_repeats_is_not_shown(scripted: ScriptedSubject) -> None:
    with pytest.raises(UpstreamDenied, match=r"Incorrect API key provided: \*\*\*") as caught:
        await complete(scripted.provider, scripted.troubled(Trouble.WRONG_KEY))
    assert API_KEY not in str(caught.value)


async def test_text_that_cannot_be_stored_is_made_storable(scripted: ScriptedSubject) -> None:
    answer = await answer_to(scripted, saying("nul\x00 lone\udc00 cut\ud83d", "\ude00 whole 🎉 end\ud83d"))
    assert (
        answer.text
        == "nul\N{REPLACEMENT CHARACTER} lone\N{REPLACEMENT CHARACTER} cut😀 whole 🎉 end\N{REPLACEMENT CHARACTER}"
    )


async def test_thinking_is_no_part_of_the_answer(scripted: ScriptedSubject) -> None:
    answer = await answer_to(scripted, saying(None, "So ", "it is.", reasoning_content="Let me think."))
    assert answer.text == "So it is."


async def test_a_refusal_is_no_answer(scripted: ScriptedSubject) -> None:
    with pytest.raises(ContentRefused):
        await answer_to(scripted, saying(None, refusal="I cannot help with that."))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("eos_token", "stop"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
    ],
)
async def test_finish_reasons_are_of_one_vocabulary(scripted: ScriptedSubject, theirs: str, ours: str) -> None:
    assert (await answer_to(scripted, saying("Yes.", reason=theirs))).finish_reason == ours


async def test_an_end_that_nobody_can_interpret_is_no_whole_answer(scripted: ScriptedSubject) -> None:
    with pytest.raises(BadUpstream, match="'abort'"):
        await answer_to(scripted, saying("Yes.", reason="abort"))


async def test_an_answer_with_a_reason_is_whole_without_done_and_without_usage(scripted: ScriptedSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event({"choices": None})
        await exchange.event({"choices": [{"delta": None}]})
        await exchange.event({"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]})
        await exchange.end()

    assert await answer_to(scripted, script) == Completion("Yes.", "stop", None)


async def test_several_tools_are_called_piece_by_piece(scripted: ScriptedSubject) -> None:
    request = scripted.asked(tools=(WEATHER, CLOCK))
    deltas = [delta async for delta in scripted.provider.stream(request)]
    pieces = [piece for delta in deltas for piece in delta.tool_calls]
    assert [(piece.index, piece.id, piece.name) for piece in pieces] == [
        (0, "call_0_of_get_weather", "get_weather"),
        (0, None, None),
        (0, None, None),
        (1, "call_1_of_tell_time", "tell_time"),
        (1, None, None),
        (1, None, None),
    ]
    assert [call.name for call in (await complete(scripted.provider, request)).tool_calls] == [
        "get_weather",
        "tell_time",
    ]


async def test_a_whole_call_without_an_index_and_with_a_plain_stop_is_a_call(scripted: ScriptedSubject) -> None:
    whole = [
        {"id": "a", "function": {"name": "get_weather", "arguments": "{}"}},
        {"id": "b", "function": {"name": "tell_time", "arguments": "{}"}},
    ]
    answer = await answer_to(scripted, saying(None, tool_calls=whole))
    assert answer.tool_calls == (
        ToolCall(id="a", name="get_weather", arguments="{}"),
        ToolCall(id="b", name="tell_time", arguments="{}"),
    )
    assert answer.finish_reason == "tool_calls"


async def test_an_argument_cut_within_a_character_is_whole_again(scripted: ScriptedSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for piece in ('{"city": "\ud83d', '\ude00", "zone": "\ud83d'):
            await exchange.say(None, tool_calls=[{"index": 0, "function": {"arguments": piece}}])
        await exchange.finish("tool_calls")

    [call] = (await answer_to(scripted, script)).tool_calls
    assert call.arguments == '{"city": "😀", "zone": "\N{REPLACEMENT CHARACTER}'


async def test_prompt_tokens_that_were_cached_are_told_apart(scripted: ScriptedSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}}
        choice = {"delta": {"content": "Yes."}, "finish_reason": "stop"}
        await exchange.event({"choices": [choice], "usage": usage})
        await exchange.end()

    usage = (await answer_to(scripted, script)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.cached_prompt_tokens, usage.total_tokens) == (9, 8, 10)


async def test_vectors_come_in_the_order_of_the_texts_however_they_were_sent(scripted: ScriptedSubject) -> None:
    request = EmbeddingRequest("good", ("a", "bcd"), dimensions=2)
    embeddings = await scripted.provider.embed(request)
    assert embeddings.vectors == ((1.0, 1.0), (3.0, 3.0))
    assert embeddings.usage is not None
    assert embeddings.usage.prompt_tokens == 2
    assert scripted.server.exchanges[0].body == {"model": "good", "input": ["a", "bcd"], "dimensions": 2}


@pytest.mark.parametrize(
    "trouble", [Trouble.RATE_LIMITED, Trouble.OVERLOADED, Trouble.WRONG_KEY, Trouble.NO_SUCH_MODEL, Trouble.TOO_LONG]
)
async def test_an_embedding_meets_the_same_errors(scripted: ScriptedSubject, trouble: Trouble) -> None:
    with pytest.raises(EXPECTED[trouble]) as caught:
        await scripted.provider.embed(EmbeddingRequest(trouble, ("text",)))
    assert API_KEY not in str(caught.value)


async def test_an_embedding_has_a_deadline(scripted: ScriptedSubject) -> None:
    with pytest.raises(Timeout, match=r"within 0\.3 s"):
        await scripted.provider.embed(EmbeddingRequest(Trouble.NO_RESPONSE, ("text",), timeout_seconds=0.3))


@pytest.mark.parametrize(
    "answered",
    [
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": "AAAA"}]},
        {"data": None},
        "{",
    ],
)
async def test_vectors_that_do_not_fit_the_texts_are_no_answer(scripted: ScriptedSubject, answered: Any) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, answered, content_type="application/json")

    scripted.server.scripts["scripted"] = script
    with pytest.raises(BadUpstream):
        await scripted.provider.embed(EmbeddingRequest("scripted", ("a", "b")))


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/v1", "https://127.0.0.1:{port}/v1"])
async def test_a_name_that_nobody_has_and_a_server_without_tls_are_unavailable(
    scripted: ScriptedSubject, url: str
) -> None:
    port = scripted.server.url.split(":")[2].split("/")[0]
    provider = openai_compatible(url.format(port=port))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await complete(provider, scripted.asked(timeout_seconds=20))
    await provider.close()


async def test_a_proxy_that_lets_nobody_through_is_unavailable(scripted: ScriptedSubject) -> None:
    proxy = scripted.server.url.removesuffix(PREFIX)
    provider = OpenAICompatible("model server", "https://models.example/v1", proxies=Proxies(https=proxy))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await complete(provider, scripted.asked(timeout_seconds=20))
    await provider.close()
    assert scripted.server.exchanges[0].method == "CONNECT"


async def test_a_proxy_in_the_environment_does_not_stand_before_loopback(
    scripted: ScriptedSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    provider = openai_compatible(scripted.server.url)
    assert (await complete(provider, scripted.asked())).text
    await provider.close()


async def test_llama_cpp_says_when_a_prompt_is_longer_than_its_context(model_runner: ModelRunnerSubject) -> None:
    endless = QUESTION[0].model_copy(update={"content": "river " * 10_000})
    with pytest.raises(ContextTooLong, match="context size"):
        await complete(model_runner.provider, model_runner.asked(messages=(endless,), timeout_seconds=30))


async def test_llama_cpp_refuses_a_schema_that_is_none(model_runner: ModelRunnerSubject) -> None:
    with pytest.raises(UpstreamRejected):
        await complete(model_runner.provider, model_runner.asked(schema={"type": "banana"}, timeout_seconds=30))


async def test_llama_cpp_says_what_it_was_not_started_for(model_runner: ModelRunnerSubject) -> None:
    seen = Message(role="user", content=(ImagePart(url=PNG),))
    with pytest.raises(Unsupported, match="image"):
        await complete(model_runner.provider, model_runner.asked(messages=(seen,), timeout_seconds=30))
    with pytest.raises(Unsupported, match="embeddings"):
        await model_runner.provider.embed(EmbeddingRequest("ai/smollm2", ("text",)))


async def test_llama_cpp_takes_a_conversation_with_tools(model_runner: ModelRunnerSubject) -> None:
    request = model_runner.asked(messages=ANSWERED, tools=(WEATHER,), max_tokens=4, timeout_seconds=30)
    assert (await complete(model_runner.provider, request)).text
