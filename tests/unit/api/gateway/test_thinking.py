"""How a client says how much to think, in any dialect, and how it is shown what was thought."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.gateway.asked import Asked, parse
from api.gateway.calling import unsupported
from api.gateway.client import Patience
from api.gateway.dialects import DIALECTS, SpeakingClient
from api.gateway.envelope import refusal
from api.gateway.faults import Fault
from api.gateway.fitting import fitted
from api.gateway.json_bytes import dumps
from api.gateway.kinds import CHAT
from api.gateway.messages.answer import MessageStream, message
from api.gateway.responses.answer import ResponseStream
from api.gateway.thinking import insisted_on, reasoning_of
from api.gateway.translating import Translating
from common.catalog.entry import ModelEntry
from common.contracts.reasoning import Reasoning
from common.errors import InvalidInput
from common.providers.mock import MockProvider
from common.providers.protocol import Delta, ModelRequest, Provider, ToolCallDelta
from common.providers.registry import Providers
from tests.unit.common.catalogs import catalog, settings

HELLO = [{"role": "user", "content": "Why?"}]
BUDGET = {"type": "enabled", "budget_tokens": 3000}
CLAUDE = ModelEntry.model_validate({"id": "anthropic-claude", "reasoning": {"by": "budget"}})
PLAIN = ModelEntry.model_validate({"id": "anthropic-plain"})
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "signed"}


def by_chat(**more: Any) -> Asked:
    return parse(CHAT, orjson.dumps({"model": "m", "messages": HELLO, **more}))


def by_messages(**more: Any) -> Asked:
    asked = {"model": "m", "max_tokens": 9000, "messages": HELLO, **more}
    return parse(CHAT, dumps(DIALECTS["/v1/messages"].chat_request(asked)))


def by_responses(**more: Any) -> Asked:
    return parse(CHAT, dumps(DIALECTS["/v1/responses"].chat_request({"model": "m", "input": "Why?", **more})))


@pytest.mark.parametrize(
    ("asked", "wish", "parameter"),
    [
        (by_chat(), None, None),
        (by_chat(reasoning_effort=None, thinking=None), None, None),
        (by_chat(reasoning_effort="high"), Reasoning(effort="high"), "reasoning_effort"),
        (by_chat(reasoning_effort="minimal"), Reasoning(effort="minimal"), None),
        (by_chat(reasoning_effort="none"), Reasoning(effort="none"), None),
        (by_chat(thinking=BUDGET), Reasoning(budget_tokens=3000), "thinking"),
        (by_responses(reasoning={"effort": "low"}), Reasoning(effort="low"), "reasoning_effort"),
        (by_responses(reasoning={"summary": "auto"}), None, None),
        (by_messages(thinking=BUDGET), Reasoning(effort="medium", budget_tokens=3000), "reasoning_effort"),
        (by_messages(thinking={"type": "disabled"}), Reasoning(effort="none"), None),
        (by_messages(thinking={"type": "between_tools"}), Reasoning(effort="none"), None),
        (by_messages(thinking={"type": "adaptive"}), Reasoning(), None),
        (by_messages(thinking={"type": "adaptive", "display": "omitted"}), Reasoning(is_shown=False), None),
        (
            by_messages(thinking={"type": "adaptive"}, output_config={"effort": "max"}),
            Reasoning(effort="max"),
            None,
        ),
        (by_messages(output_config={"effort": "max"}), None, None),
    ],
)
def test_every_dialect_s_words_are_understood(asked: Asked, wish: Reasoning | None, parameter: str | None) -> None:
    assert reasoning_of(asked) == wish
    assert insisted_on(asked) == parameter


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (by_chat(reasoning_effort="much"), "reasoning_effort"),
        (by_chat(reasoning_effort=["high"]), "reasoning_effort"),
        (by_chat(thinking="much"), "thinking"),
        (by_chat(thinking={"type": "much"}), "thinking.type"),
        (by_chat(thinking={"type": "enabled", "budget_tokens": -1}), "thinking.budget_tokens"),
        (by_messages(thinking={"type": "enabled", "budget_tokens": 10**9}), "thinking.budget_tokens"),
        (by_messages(thinking={"type": "adaptive"}, output_config={"effort": "much"}), "output_config.effort"),
    ],
)
def test_what_nobody_knows_is_refused_by_name(asked: Asked, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        reasoning_of(asked)
    assert caught.value.field == field


@pytest.mark.parametrize("budget", [None, "much", True, 0])
def test_a_budget_is_a_number_of_tokens(budget: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        by_messages(thinking={"type": "enabled", "budget_tokens": budget})
    assert caught.value.field == "thinking.budget_tokens"


def test_a_server_that_is_passed_the_request_sees_the_effort_alone() -> None:
    openai = ModelEntry.model_validate({"id": "openai-m"})
    sent = fitted(by_messages(thinking=BUDGET), openai)
    assert sent == {"model": "m", "max_tokens": 9000, "messages": HELLO, "reasoning_effort": "medium"}
    assert "reasoning_effort" not in fitted(by_messages(thinking={"type": "adaptive"}), openai)
    own = {"type": "enabled", "clear_thinking": False}  # a word of that server's own
    assert fitted(by_chat(thinking=own), openai)["thinking"] == own


class Thinker(MockProvider):
    """Thinks, says a word and calls a tool, as Claude does. Keeps what it was asked."""

    name = "anthropic"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        self.asked.append(request)
        yield Delta(thoughts="H")
        yield Delta(thoughts="m.")
        yield Delta(signature="signed")
        yield Delta("I look.")
        opaque = {"anthropic": {"thinking_blocks": [SIGNED]}}
        yield Delta(tool_calls=(ToolCallDelta(0, "t1", "now", "{}", opaque),))
        yield Delta(finish_reason="tool_calls")


class OneAdapter(Providers):
    """Has that one for every model."""

    def __init__(self, folder: Path, adapter: MockProvider, **given: Any) -> None:
        models = catalog(folder)
        super().__init__(settings(**given), lambda: models)
        self._adapter = adapter

    async def get(self, entry: ModelEntry) -> Provider:
        return self._adapter


@pytest.fixture
def thinker() -> Thinker:
    return Thinker()


@pytest.fixture
def way(tmp_path: Path, thinker: Thinker) -> Translating:
    return Translating(OneAdapter(tmp_path, thinker))


async def chunks(way: Translating, asked: Asked) -> list[dict[str, Any]]:
    stream = await way.stream(asked, CLAUDE)
    try:
        async with aclosing(stream.blocks()) as blocks:
            raw = b"".join([block async for block in blocks])
    finally:
        await stream.close()
    return [orjson.loads(event.removeprefix(b"data: ")) for event in raw.split(b"\n\n") if event]


async def test_a_budget_reaches_the_model_and_its_thoughts_reach_every_client_once(
    way: Translating, thinker: Thinker
) -> None:
    said = await chunks(way, by_messages(thinking=BUDGET, stream=True))
    assert thinker.asked[0].reasoning == Reasoning(budget_tokens=3000)
    assert thinker.asked[0].max_tokens == 9000
    deltas = [chunk["choices"][0]["delta"] for chunk in said]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."

    messages, responses = MessageStream("m"), ResponseStream({}, "m")
    raw = b"".join(messages.feed(chunk) for chunk in said) + messages.end()
    assert raw.count(b'"type":"thinking_delta"') == 2
    assert raw.count(b'"signature":"signed"') == 1
    starts = [orjson.loads(event.split(b"\ndata: ")[1]) for event in raw.split(b"\n\n") if b"_start\n" in event]
    blocks = [event["content_block"]["type"] for event in starts if "content_block" in event]
    assert blocks == ["thinking", "text", "tool_use"]

    for chunk in said:
        responses.feed(chunk)
    responses.end()
    thought, *others = responses.document["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert [item["type"] for item in others] == ["message", "function_call"]


async def test_a_whole_answer_shows_thoughts_once_too(way: Translating) -> None:
    completion = orjson.loads((await way.whole(by_messages(thinking=BUDGET), CLAUDE)).document)
    assert completion["choices"][0]["message"]["reasoning_content"] == "Hm."
    content = message(completion, "m")["content"]
    assert [block for block in content if block["type"] == "thinking"] == [SIGNED]
    del completion["choices"][0]["message"]["tool_calls"]
    unsigned = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    assert message(completion, "m")["content"][0] == unsigned


async def test_a_model_that_cannot_think_is_not_asked_to_unless_somebody_insists(
    way: Translating, thinker: Thinker
) -> None:
    for asked in (by_chat(reasoning_effort="minimal"), by_messages(thinking={"type": "adaptive"})):
        await way.whole(asked, PLAIN)
        assert thinker.asked[-1].reasoning is None
    for asked, parameter in (
        (by_chat(reasoning_effort="low"), "reasoning_effort"),
        (by_chat(thinking=BUDGET), "thinking"),
        (by_messages(thinking=BUDGET), "reasoning_effort"),
    ):
        with pytest.raises(Fault) as caught:
            await way.whole(asked, PLAIN)
        assert (caught.value.param, caught.value.code) == (parameter, "unsupported_parameter")
    assert len(thinker.asked) == 2


async def test_a_mock_that_stands_in_for_a_model_takes_every_wish(tmp_path: Path) -> None:
    way = Translating(OneAdapter(tmp_path, MockProvider(), use_mock=True))
    assert (await way.whole(by_chat(reasoning_effort="high"), PLAIN)).document
    with pytest.raises(Fault):
        await way.whole(by_chat(reasoning_effort="high"), ModelEntry.model_validate({"id": "mock-a"}))


@pytest.mark.parametrize(("path", "name"), [("/v1/messages", "thinking"), ("/v1/responses", "reasoning.effort")])
async def test_a_client_hears_of_the_parameter_by_the_name_it_used(path: str, name: str) -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        raise AssertionError("nobody asked")

    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    client = SpeakingClient(DIALECTS[path], scope, receive, send, b"r", Patience())
    await client.refuse(refusal(unsupported("reasoning_effort")))
    [body] = [orjson.loads(event["body"]) for event in sent if event["type"] == "http.response.body"]
    assert name in body["error"]["message"]
    assert "reasoning_effort" not in body["error"]["message"]
    assert body["error"].get("param", name) == name
