"""A client's body as one model takes it."""

from typing import Any

import orjson

from api.gateway.asked import parse
from api.gateway.fitting import fitted
from api.gateway.kinds import CHAT, EMBEDDING
from common.catalog.entry import ModelEntry

USER = {"role": "user", "content": "Hi"}


def entry(**fields: Any) -> ModelEntry:
    return ModelEntry.model_validate({"id": "openai-gpt", **fields})


def body(of: ModelEntry, **asked: Any) -> dict[str, Any]:
    """What the model's server is sent."""
    raw = orjson.dumps({"model": "anything", "messages": [USER], **asked})
    return fitted(parse(CHAT, raw), of)


def test_a_plain_model_is_sent_what_was_asked_under_its_own_name() -> None:
    asked = {"top_k": 3, "user": "u", "tools": [], "n": 2}
    assert body(entry(name="gpt-4o"), **asked) == {"model": "gpt-4o", "messages": [USER], **asked}


def test_the_clients_body_is_left_as_it_was() -> None:
    asked = parse(CHAT, orjson.dumps({"model": "a", "messages": [USER], "max_tokens": 5}))
    before = orjson.dumps(asked.body)
    fitted(asked, entry(system="Be brief.", quirks={"drop": ["max_tokens"], "system": "first_user"}))
    assert orjson.dumps(asked.body) == before


def test_the_catalog_fills_in_what_is_left_open_and_nothing_else() -> None:
    preset = entry(parameters={"temperature": 0.2, "max_tokens": 9, "extra": {"repeat_penalty": 1.1}})
    assert body(preset) | {"messages": 0} == {
        "model": "gpt",
        "messages": 0,
        "temperature": 0.2,
        "max_tokens": 9,
        "repeat_penalty": 1.1,
    }
    own = {"temperature": 0, "max_completion_tokens": 3, "repeat_penalty": 2}
    assert body(preset, **own) == {"model": "gpt", "messages": [USER], **own}


def test_what_the_entry_sets_to_null_is_not_sent() -> None:
    quiet = entry(parameters={"extra": {"stream_options": None}})
    assert "stream_options" not in body(quiet, stream=True)


def test_quirks_are_heeded() -> None:
    quirks = {"drop": ["temperature"], "rename": {"max_tokens": "max_completion_tokens"}, "thinking_tokens": 100}
    sent = body(entry(quirks=quirks), temperature=1, max_tokens=5)
    assert sent == {"model": "gpt", "messages": [USER], "max_completion_tokens": 105}


def test_a_new_name_does_not_hide_what_the_client_said_under_it() -> None:
    quirks = {"rename": {"max_tokens": "max_completion_tokens"}}
    sent = body(entry(quirks=quirks), max_tokens=5, max_completion_tokens=7)
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


def test_the_entrys_system_prompt_comes_first_and_there_is_one() -> None:
    brief = entry(system="Be brief.")
    for role in ("system", "developer"):
        own = {"role": role, "content": "Be kind."}
        assert body(brief, messages=[own, USER])["messages"] == [
            {"role": role, "content": "Be brief.\n\nBe kind."},
            USER,
        ]
    assert body(brief)["messages"] == [{"role": "system", "content": "Be brief."}, USER]


def test_a_model_without_a_system_role_reads_it_before_the_users_words() -> None:
    roleless = entry(system="Be brief.", quirks={"system": "first_user"})
    assert body(roleless)["messages"] == [{"role": "user", "content": "Be brief.\n\nHi"}]
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
    [message] = body(roleless, messages=[{"role": "user", "content": parts}])["messages"]
    assert message["content"] == [{"type": "text", "text": "Be brief."}, *parts]


def test_usage_of_a_stream_is_always_asked_for_beside_what_the_client_wants_of_it() -> None:
    sent = body(entry(), stream=True, stream_options={"include_obfuscation": False})
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_texts_to_embed_have_no_temperature() -> None:
    asked = parse(EMBEDDING, orjson.dumps({"model": "a", "input": "x", "dimensions": 3}))
    sent = fitted(asked, entry(name="embedder", parameters={"temperature": 0.2}, system="Be brief."))
    assert sent == {"model": "embedder", "input": "x", "dimensions": 3}
