"""How much a model is to think: what a model can be told, and in which words each provider is told it."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.contracts.calls import Call, Parameters
from common.contracts.messages import Message, ToolCall
from common.contracts.reasoning import EFFORTS, Effort, Reasoning, ReasoningControl
from common.errors import Unsupported
from common.providers import anthropic_request, google_request, ollama_request, openai_request
from common.providers.anthropic_events import MessageReader
from common.providers.google_answer import Answer as GoogleAnswer
from common.providers.google_errors import Complaints as GoogleComplaints
from common.providers.ollama_answer import Answer as OllamaAnswer
from common.providers.ollama_errors import Complaints as OllamaComplaints
from common.providers.protocol import Delta, ModelRequest
from common.providers.registry import Providers
from tests.unit.common.catalogs import catalog, settings
from tests.unit.common.test_anthropic_events import block, delta, end, stop

ASK = Message(role="user", content="Why?")
OFF, FREELY = Reasoning(effort="none", is_shown=False), Reasoning()
HIDDEN = Reasoning(is_shown=False)
WORDS = ReasoningControl(by="effort", efforts=("low", "high"))
TOKENS = ReasoningControl(by="budget", least=1024, most=20_000)


@pytest.mark.parametrize(
    ("control", "wish", "told"),
    [
        (WORDS, Reasoning(effort="minimal"), Reasoning(effort="low")),
        (WORDS, Reasoning(effort="medium"), Reasoning(effort="low")),
        (WORDS, Reasoning(effort="max"), Reasoning(effort="high")),
        (WORDS, Reasoning(budget_tokens=30_000), Reasoning(effort="high")),
        (WORDS, Reasoning(effort="low", budget_tokens=30_000), Reasoning(effort="low")),
        (WORDS, FREELY, FREELY),
        (WORDS, OFF, OFF),
        (WORDS, Reasoning(effort="none"), OFF),
        (WORDS, HIDDEN, HIDDEN),
        (TOKENS, HIDDEN, Reasoning(budget_tokens=8192, is_shown=False)),
        (WORDS.model_copy(update={"always": True}), OFF, Reasoning(effort="low", is_shown=False)),
        (TOKENS, Reasoning(effort="high", budget_tokens=1500), Reasoning(budget_tokens=1500)),
        (TOKENS, Reasoning(budget_tokens=5), Reasoning(budget_tokens=1024)),
        (TOKENS, Reasoning(effort="max"), Reasoning(budget_tokens=20_000)),
        (TOKENS, FREELY, Reasoning(budget_tokens=8192)),
        (TOKENS, OFF, OFF),
        (TOKENS.model_copy(update={"always": True}), OFF, Reasoning(budget_tokens=1024, is_shown=False)),
        (ReasoningControl(by="switch"), Reasoning(effort="low"), FREELY),
        (ReasoningControl(by="switch"), OFF, OFF),
    ],
)
def test_a_model_is_told_what_comes_nearest_in_the_words_it_knows(
    control: ReasoningControl, wish: Reasoning, told: Reasoning
) -> None:
    assert control.told(wish) == told


def test_more_effort_is_never_a_smaller_budget() -> None:
    ranks: list[Effort] = [effort for effort in EFFORTS if effort != "none"]
    budgets = [TOKENS.told(Reasoning(effort=effort)).budget_tokens or 0 for effort in ranks]
    assert budgets == sorted(budgets)


MODELS = """\
    defaults: {models: [anthropic-old]}
    models:
      anthropic-old: {reasoning: {by: budget}, parameters: {temperature: 0.2, max_tokens: 100}}
      anthropic-open: {reasoning: {by: budget}}
      anthropic-plain: {}
      google-old: {reasoning: {by: budget, least: 128, most: 30000}, quirks: {thinking_tokens: 8000}}
"""


def request(folder: Path, model: str, reasoning: Reasoning | None, **parameters: Any) -> ModelRequest:
    models = catalog(folder, MODELS)
    call = Call(model=model, messages=(ASK,), reasoning=reasoning, parameters=Parameters(**parameters))
    return Providers(settings(), lambda: models).request_for(models.resolve(model), call)


def test_a_limit_leaves_room_for_thoughts_that_nobody_counted_into_it(tmp_path: Path) -> None:
    effort, budget = Reasoning(effort="low"), Reasoning(budget_tokens=2000)
    assert request(tmp_path, "anthropic-old", effort, max_tokens=50).max_tokens == 50 + 2048
    assert request(tmp_path, "anthropic-old", budget).max_tokens == 100 + 2000
    assert request(tmp_path, "anthropic-old", budget, max_tokens=3000).max_tokens == 3000
    assert request(tmp_path, "anthropic-old", OFF, max_tokens=50).max_tokens == 50
    assert request(tmp_path, "google-old", effort, max_tokens=50).max_tokens == 50 + 8000
    unlimited = request(tmp_path, "anthropic-open", effort)
    assert anthropic_request.body(unlimited)["max_tokens"] == anthropic_request.DEFAULT_MAX_TOKENS + 2048


def test_claude_is_not_given_the_entry_s_temperature_while_it_thinks(tmp_path: Path) -> None:
    effort = Reasoning(effort="low")
    assert request(tmp_path, "anthropic-old", effort).temperature is None
    assert request(tmp_path, "anthropic-old", OFF).temperature == 0.2
    assert request(tmp_path, "anthropic-old", effort, temperature=1).temperature == 1


def test_a_model_that_the_catalog_says_nothing_of_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="anthropic-plain cannot be told how to think"):
        request(tmp_path, "anthropic-plain", Reasoning(effort="low"))


def asking(reasoning: Reasoning, *messages: Message, **fields: Any) -> ModelRequest:
    return ModelRequest("m", messages or (ASK,), reasoning=reasoning, **fields)


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (Reasoning(budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, "low"),
        (Reasoning(effort="high"), {"type": "adaptive", "display": "summarized"}, "high"),
        (FREELY, {"type": "adaptive", "display": "summarized"}, "low"),
        (HIDDEN, {"type": "adaptive", "display": "omitted"}, "low"),
        (OFF, {"type": "disabled"}, "low"),
    ],
)
def test_claude_thinks_within_a_budget_or_by_an_effort(
    reasoning: Reasoning, thinking: dict[str, Any], effort: str
) -> None:
    extra = {"thinking": {"type": "enabled", "budget_tokens": 9}, "output_config": {"effort": "low"}}
    sent = anthropic_request.body(asking(reasoning, schema={"type": "object"}, extra=extra))
    assert sent["thinking"] == thinking
    assert sent["output_config"]["effort"] == effort
    assert sent["output_config"]["format"]["type"] == "json_schema"


def test_claude_goes_on_without_a_budget_in_a_turn_whose_thoughts_are_lost() -> None:
    thoughts = {"anthropic": {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]}}
    lost = ToolCall(id="a", name="now", arguments="{}")
    kept = lost.model_copy(update={"opaque": thoughts})
    result, more = Message(role="tool", content="Noon.", tool_call_id="a"), Message(role="user", content="Go on.")

    def thinks(*messages: Message) -> bool:
        return "thinking" in anthropic_request.body(asking(Reasoning(budget_tokens=2000), *messages))

    def calling(call: ToolCall) -> Message:
        return Message(role="assistant", tool_calls=(call,))

    assert thinks(ASK, calling(kept), result)
    assert thinks(ASK, calling(kept), result, calling(lost), result)  # one turn, which began with its thoughts
    assert not thinks(ASK, calling(lost), result)
    assert not thinks(ASK, calling(lost), result, more)
    assert thinks(ASK, calling(lost), result, Message(role="assistant", content="Noon."), more)


@pytest.mark.parametrize(
    ("reasoning", "config"),
    [
        (Reasoning(budget_tokens=2000), {"includeThoughts": True, "thinkingBudget": 2000}),
        (Reasoning(effort="high"), {"includeThoughts": True, "thinkingLevel": "high", "thinkingBudget": 7}),
        (HIDDEN, {"includeThoughts": False, "thinkingBudget": 7}),
        (OFF, {"thinkingBudget": 0}),
    ],
)
def test_gemini_is_given_a_budget_or_a_level_before_the_catalog_s(reasoning: Reasoning, config: dict[str, Any]) -> None:
    extra = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 7}}}
    sent = google_request.generate_body(asking(reasoning, extra=extra))
    assert sent["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(("reasoning", "think"), [(Reasoning(effort="high"), "high"), (FREELY, True), (OFF, False)])
def test_ollama_is_told_an_effort_or_to_think_or_not(reasoning: Reasoning, think: Any) -> None:
    assert ollama_request.chat_body(asking(reasoning, extra={"think": "medium"}))["think"] == think


@pytest.mark.parametrize(
    ("reasoning", "effort"), [(Reasoning(effort="xhigh"), "xhigh"), (Reasoning(budget_tokens=9000), "high")]
)
def test_openai_is_told_an_effort(reasoning: Reasoning, effort: str) -> None:
    assert openai_request.chat_body(asking(reasoning))["reasoning_effort"] == effort


def test_claude_s_thoughts_are_shown_with_their_signature_where_they_were_asked_for() -> None:
    events = (
        block(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Let me see\ud83d"),
        delta(0, "thinking_delta", thinking="\ude00."),
        delta(0, "signature_delta", signature="signed"),
        stop(0),
        block(1, "text", text=""),
        delta(1, "text_delta", text="So it is."),
        end(),
    )
    reader = MessageReader("anthropic", shows_thoughts=True)
    assert [piece for event in events if (piece := reader.feed(event))] == [
        Delta(thoughts="Let me see"),
        Delta(thoughts="😀."),
        Delta(signature="signed"),
        Delta("So it is."),
    ]


def test_gemini_s_and_ollama_s_thoughts_are_shown_where_they_were_asked_for() -> None:
    gemini = GoogleAnswer(GoogleComplaints("google"), shows_thoughts=True)
    parts = [{"text": "Hm.", "thought": True}, {"text": "Yes."}]
    said = json.dumps({"candidates": [{"content": {"parts": parts}}]}).encode()
    assert gemini.read(said) == Delta("Yes.", thoughts="Hm.")
    thought = json.dumps({"candidates": [{"content": {"parts": parts[:1]}}]}).encode()
    assert gemini.read(thought) == Delta(thoughts="Hm.")
    ollama = OllamaAnswer(OllamaComplaints("ollama"), shows_thoughts=True)
    assert ollama.read(b'{"done": false, "message": {"thinking": "Hm."}}') == Delta(thoughts="Hm.")


def test_thoughts_are_wanted_of_who_was_told_to_think_and_not_to_hide_them() -> None:
    assert asking(FREELY).shows_thoughts
    assert not any(asking(reasoning).shows_thoughts for reasoning in (HIDDEN, OFF))
    assert not ModelRequest("m", (ASK,)).shows_thoughts
