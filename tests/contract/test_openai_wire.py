"""What only the OpenAI-compatible adapter can get right or wrong: the bytes on the wire."""

import socket
from typing import Any

import pytest

from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    Unavailable,
    UpstreamDenied,
    UpstreamRejected,
)
from common.providers.complete import Completion, complete
from common.providers.protocol import ModelRequest
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import API_KEY, PREFIX, Script
from tests.contract.subjects import QUESTION, ModelRunnerSubject, ScriptedSubject, openai_compatible
from tests.contract.troubles import Trouble


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


async def test_a_page_in_the_place_of_an_answer_is_no_answer(scripted: ScriptedSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, "<html>Sign in to the guest network</html>", content_type="text/html")

    with pytest.raises(BadUpstream):
        await answer_to(scripted, script)


async def test_an_error_cut_off_in_its_own_body_is_translated_too(scripted: ScriptedSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head(500, content_length="1000")
        exchange.cut()

    with pytest.raises(BadUpstream):
        await answer_to(scripted, script)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as held:  # bound and not listening: nobody else takes the port, and nobody answers
        held.bind(("127.0.0.1", 0))
        provider = openai_compatible(f"http://127.0.0.1:{held.getsockname()[1]}/v1")
        with pytest.raises(Unavailable, match="cannot be reached"):
            await complete(provider, ModelRequest("any", QUESTION))
        with pytest.raises(Unavailable):
            await provider.list_models()
        await provider.close()


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
