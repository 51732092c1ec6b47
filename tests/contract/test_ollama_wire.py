"""What only the Ollama adapter can get right or wrong: the bytes on the wire."""

import json

import pytest

from common.contracts.calls import Usage
from common.contracts.messages import ImagePart, Message, Tool, ToolCall
from common.contracts.reasoning import Reasoning
from common.errors import (
    BadUpstream,
    Unsupported,
)
from common.providers.complete import Completion, complete
from common.providers.protocol import EmbeddingRequest
from tests.contract.exchange import Exchange
from tests.contract.scripted_ollama import OllamaExchange
from tests.contract.scripted_server import sending
from tests.contract.subjects import QUESTION
from tests.contract.subjects_ollama import AimockSubject, OllamaProxySubject, ScriptedOllamaSubject

MEGABYTE = 1024 * 1024

WEATHER = Tool(
    name="weather",
    description="Weather of a town.",
    parameters={"type": "object", "properties": {"town": {"enum": ["Bern"]}}, "required": ["town"]},
)


async def test_the_request_says_what_was_asked_and_no_more(ollama: ScriptedOllamaSubject) -> None:
    extra = {"num_ctx": 8192, "keep_alive": "10m", "think": False}
    request = ollama.asked(temperature=0.0, top_p=0.9, max_tokens=7, stop=("below",), seed=1, extra=extra)
    await complete(ollama.provider, request)
    [exchange] = ollama.server.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/api/chat")
    assert exchange.headers["content-type"] == "application/json"
    assert exchange.body == {
        "model": "good",
        "messages": [{"role": "user", "content": QUESTION[0].content}],
        "stream": True,
        "keep_alive": "10m",
        "think": False,
        "options": {
            "temperature": 0.0,
            "top_p": 0.9,
            "num_predict": 7,
            "stop": ["below"],
            "seed": 1,
            "num_ctx": 8192,
        },
    }


async def test_what_was_not_asked_is_left_to_the_server(ollama: ScriptedOllamaSubject) -> None:
    await complete(ollama.provider, ollama.asked())
    assert ollama.server.exchanges[0].body.keys() == {"model", "messages", "stream"}


@pytest.mark.parametrize("refused", ["image", "tool_choice"])
async def test_what_ollama_cannot_do_is_refused_before_a_byte_is_sent(
    ollama: ScriptedOllamaSubject, refused: str
) -> None:
    image = Message(role="user", content=(ImagePart(url="https://example.org/cat.png"),))
    asked = {"image": {"messages": (image,)}, "tool_choice": {"tools": (WEATHER,), "tool_choice": "required"}}[refused]
    with pytest.raises(Unsupported):
        await complete(ollama.provider, ollama.asked(**asked))
    assert ollama.server.exchanges == []


async def test_a_tool_is_called_and_its_result_taken(ollama: ScriptedOllamaSubject) -> None:
    first = await complete(ollama.provider, ollama.asked(tools=(WEATHER,)))
    assert first.finish_reason == "tool_calls"
    assert first.tool_calls == (ToolCall(id="call_0", name="weather", arguments='{"town": "Bern"}'),)
    conversation = (
        *QUESTION,
        Message(role="assistant", tool_calls=first.tool_calls),
        Message(role="tool", tool_call_id="call_0", content="Rain."),
    )
    second = await complete(ollama.provider, ollama.asked(tools=(WEATHER,), messages=conversation))
    assert second.finish_reason == "stop"
    *_, called, result = ollama.server.exchanges[1].body["messages"]
    assert called["tool_calls"] == [{"function": {"name": "weather", "arguments": {"town": "Bern"}}}]
    assert result == {"role": "tool", "content": "Rain.", "tool_name": "weather"}


async def test_thinking_is_no_part_of_the_answer(ollama: ScriptedOllamaSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say(thinking="Let me think.")
        await exchange.say("So it is.")
        await exchange.finish()

    assert (await ollama.answer_to(script)).text == "So it is."


async def test_thinking_is_shown_where_it_was_asked_for(ollama: ScriptedOllamaSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say(thinking="Let me ")
        await exchange.say(thinking="think.")
        await exchange.say("So it is.")
        await exchange.finish()

    answer = await ollama.answer_to(script, reasoning=Reasoning(effort="high"))
    assert (answer.text, answer.thoughts) == ("So it is.", "Let me think.")
    assert ollama.server.exchanges[0].body["think"] == "high"


async def test_lines_are_lines_wherever_the_bytes_are_cut(ollama: ScriptedOllamaSubject) -> None:
    said = [{"message": {"content": "Über "}, "done": False}, {"message": {"content": "🎉"}, "done": False}]
    last = {"message": {"content": "."}, "done": True, "done_reason": "stop", "eval_count": 3}
    stream = "\n".join(json.dumps(piece, ensure_ascii=False) for piece in [*said, last]).encode()
    usage = Usage(completion_tokens=3, total_tokens=3)
    for size in (1, 7, len(stream)):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert await ollama.answer_to(sending(*pieces)) == Completion("Über 🎉.", "stop", usage)


async def test_text_that_cannot_be_stored_is_made_storable(ollama: ScriptedOllamaSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for piece in ("nul\x00 cut\ud83d", "\ude00 end\ud83d"):
            await exchange.say(piece)
        await exchange.finish()

    assert (await ollama.answer_to(script)).text == "nul\N{REPLACEMENT CHARACTER} cut😀 end\N{REPLACEMENT CHARACTER}"


async def test_a_line_of_ten_megabytes_is_refused(ollama: ScriptedOllamaSubject) -> None:
    said = {"message": {"content": "x" * 10 * MEGABYTE}, "done": True, "done_reason": "stop"}
    with pytest.raises(BadUpstream, match="a line of more than 4194304 bytes"):
        await ollama.answer_to(sending(json.dumps(said).encode() + b"\n"))


async def test_a_line_without_an_end_is_left(ollama: ScriptedOllamaSubject) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        while True:  # until the client leaves
            await exchange.raw(b"x" * MEGABYTE)

    with pytest.raises(BadUpstream, match="a line of more than"):
        await ollama.answer_to(script)


async def test_an_answer_is_over_with_its_last_line_whatever_the_connection_does(
    ollama: ScriptedOllamaSubject,
) -> None:
    async def script(exchange: OllamaExchange) -> None:
        await exchange.begin()
        await exchange.line(message={"content": "Yes."}, done=True, done_reason="stop")
        await exchange.until_client_leaves()

    assert await ollama.answer_to(script) == Completion("Yes.", "stop", None)


async def test_texts_become_vectors_in_their_order(ollama: ScriptedOllamaSubject) -> None:
    request = EmbeddingRequest("nomic-embed-text", ("one", "two words"), dimensions=2)
    embeddings = await ollama.provider.embed(request)
    assert embeddings.vectors == ((3.0, 4.0), (9.0, 10.0))
    assert embeddings.usage == Usage(prompt_tokens=3, total_tokens=3)
    [exchange] = ollama.server.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/api/embed")
    texts = ["one", "two words"]
    assert exchange.body == {"model": "nomic-embed-text", "input": texts, "dimensions": 2, "truncate": False}


async def test_aimock_s_thinking_is_no_part_of_its_answer(ollama_aimock: AimockSubject) -> None:
    answer = await complete(ollama_aimock.provider, ollama_aimock.asked(model="thoughtful"))
    assert answer.text == "So it is."


async def test_a_real_model_s_options_are_heeded(ollama_real: OllamaProxySubject) -> None:
    whole = await complete(ollama_real.provider, ollama_real.asked(max_tokens=12, timeout_seconds=30))
    word = whole.text.split()[4]
    stopped = await complete(ollama_real.provider, ollama_real.asked(max_tokens=12, stop=(word,), timeout_seconds=30))
    assert stopped.text == whole.text.partition(word)[0]
