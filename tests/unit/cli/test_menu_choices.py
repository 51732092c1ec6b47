"""What the menu offers and what its answers come to, without a question asked."""

from pathlib import Path
from typing import Any

import pytest

from cli.menu.draft import Draft, fault_in_option, fault_in_prompt
from cli.menu.offers import (
    NEWER,
    OLDER,
    THE_SERVERS_LEAD,
    Ready,
    action_offers,
    lead_offers,
    model_offers,
    page_offers,
    review_offers,
    type_offers,
)
from cli.menu.prompts import MAX_BYTES, PromptUnreadable, escaped, prompt_of
from cli.menu.settings import SETTINGS
from common.contracts.analyses import AnalysisDocument, AnalysisOptions, AnalysisPage
from common.contracts.analysis_types import BUILT_IN
from common.contracts.models import ModelDocument
from tests.unit.cli.fake_server import answer, document

DRAFT = Draft(models=("b", "a"), prompt="Why?")


def model(name: str, **fields: Any) -> ModelDocument:
    known: dict[str, Any] = {
        "id": name,
        "aliases": [],
        "provider": "mock",
        "local": False,
        "available": True,
        "reason": None,
        "state": None,
        "context_window": None,
        "capabilities": ["chat"],
        "fallbacks": [],
        "price": None,
        "description": None,
    }
    return ModelDocument(**known | fields)


KEYLESS = model("openai-x", available=False, reason="OPENAI_API_KEY is not set.")


def chosen(offers: list[Any]) -> list[Any]:
    return [offer.value for offer in offers if offer.is_chosen]


def test_the_servers_default_models_are_chosen_to_begin_with() -> None:
    models = [model("a"), model("b", default=True), model("c", default=True, available=False)]
    assert chosen(model_offers(models, Draft())) == ["b"]


def test_where_no_default_can_be_asked_the_first_two_that_can_are_chosen() -> None:
    models = [KEYLESS.model_copy(update={"default": True}), model("a"), model("b"), model("c")]
    assert chosen(model_offers(models, Draft())) == ["a", "b"]


def test_what_was_chosen_before_goes_before_the_defaults_by_alias_too() -> None:
    models = [model("a", default=True), model("b", aliases=["bee"]), model("c")]
    assert chosen(model_offers(models, Draft(models=("bee", "c", "gone")))) == ["b", "c"]


def test_a_model_that_cannot_be_asked_says_why() -> None:
    embedding = model("e", capabilities=["embeddings"])
    assert [offer.unavailable for offer in model_offers([KEYLESS, embedding, model("a")], Draft())] == [
        "OPENAI_API_KEY is not set",
        "does not chat",
        None,
    ]


def test_whom_the_server_would_take_is_the_first_who_may_compare_and_nobody_is_the_last() -> None:
    offers = lead_offers([model("a"), model("b"), model("c"), KEYLESS], DRAFT, may_be_nobody=True)
    assert [offer.value for offer in offers] == [THE_SERVERS_LEAD, "b", "a", "c", None]
    assert None not in [offer.value for offer in lead_offers([model("a")], DRAFT, may_be_nobody=False)]


def test_types_are_offered_with_what_they_do() -> None:
    offers = type_offers(BUILT_IN, Draft(analysis_type="factual"))
    assert chosen(offers) == ["factual"]
    assert [offer.description for offer in offers] == [one.description for one in BUILT_IN]


def test_a_page_leads_to_those_around_it() -> None:
    summary = AnalysisDocument.model_validate(document(answer("a")))
    first, last = AnalysisPage(data=[summary], next_cursor="2"), AnalysisPage(data=[summary], next_cursor=None)
    assert [offer.value for offer in page_offers(first, is_first=True)] == [summary.id, OLDER]
    assert [offer.value for offer in page_offers(last, is_first=False)] == [summary.id, NEWER]
    assert page_offers(AnalysisPage(data=[], next_cursor=None), is_first=True) == []
    assert page_offers(first, is_first=True)[0].title == "2026-11-21 04:00  completed    1/1  comparative: a"


@pytest.mark.parametrize(
    ("status", "actions"),
    [("running", ["watch", "again", "cancel", "back"]), ("partial", ["back", "again", "delete"])],
)
def test_what_can_be_done_with_an_analysis_depends_on_how_it_stands(status: str, actions: list[str]) -> None:
    one = AnalysisDocument.model_validate(document(answer("a"), status=status))
    assert [offer.value for offer in action_offers(one)] == actions


def test_no_title_steers_the_terminal_or_breaks_its_line() -> None:
    evil = "\x1b[2J\x9bevil\n\r"
    one = AnalysisDocument.model_validate(document(answer(evil), analysis_type=evil))
    titles = [
        *(offer.title for offer in model_offers([model(evil, aliases=[evil])], Draft())),
        *(offer.unavailable for offer in model_offers([model("a", available=False, reason=evil)], Draft())),
        *(offer.title for offer in lead_offers([], Draft(models=(evil,)), may_be_nobody=False)),
        *(offer.title for offer in review_offers(Draft(models=(evil,), prompt=evil, options={"system": evil}))),
        *(offer.title for offer in page_offers(AnalysisPage(data=[one], next_cursor=None), is_first=True)),
    ]
    assert not [title for title in titles if title is None or not title.isprintable()]


def test_what_was_not_answered_is_left_to_the_server() -> None:
    assert DRAFT.request().model_dump(exclude_unset=True) == {
        "prompt": "Why?",
        "analysis_type": "comparative",
        "models": ["b", "a"],
        "output_format": "text",
    }


def test_nobody_to_compare_means_no_merge_and_no_lead() -> None:
    request = Draft(models=("a",), prompt="Why?", lead_model="a", is_merged=False).request()
    assert (request.options.merge, request.lead_model) == (False, None)


def test_every_setting_reaches_the_request_as_its_own_kind_and_leaves_it_again() -> None:
    typed = {"system": "Be brief.", "temperature": "0.5", "max_tokens": "9", "timeout_seconds": "2.5"}
    picked = {"prefer": "local", "cache": "true", "output_format": "markdown"}
    draft = DRAFT
    for setting in SETTINGS:
        draft = setting.set(draft, (typed | picked)[setting.name])
    request = draft.request()
    assert request.output_format == "markdown"
    assert request.options == AnalysisOptions(
        system="Be brief.", temperature=0.5, max_tokens=9, timeout_seconds=2.5, prefer="local", cache=True
    )
    for setting in SETTINGS:
        draft = setting.set(draft, "text" if setting.name == "output_format" else "")
    assert draft == DRAFT


def test_a_draft_says_what_holds_for_each_setting() -> None:
    offers = review_offers(SETTINGS[2].set(DRAFT, "0.5"))
    assert [offer.title for offer in offers[:4]] == [
        "Ask b, a: Why?",
        "Show the result as: text",
        "System prompt: none",
        "Temperature: 0.5",
    ]
    assert (offers[0].value, offers[-1].value) == (Ready.SEND, Ready.START_OVER)


def test_asking_again_asks_the_same() -> None:
    again = Draft.again(AnalysisDocument.model_validate(document(answer("a"), answer("b"), prompt="@home?")))
    assert again.request().model_dump(exclude_unset=True) == {
        "prompt": "@home?",
        "analysis_type": "comparative",
        "models": ["a", "b"],
        "output_format": "text",
    }
    assert prompt_of(again.typed_prompt) == "@home?"


@pytest.mark.parametrize("prompt", ["", "  \n", "nul \x00", "x" * 500_001])
def test_a_prompt_that_the_server_would_refuse_is_refused_here(prompt: str) -> None:
    assert fault_in_prompt(prompt)


@pytest.mark.parametrize(("name", "typed"), [("temperature", "3"), ("temperature", "warm"), ("max_tokens", "0")])
def test_an_option_that_the_server_would_refuse_is_refused_here(name: str, typed: str) -> None:
    assert fault_in_option(name, typed)
    assert fault_in_option(name, "") is None
    assert fault_in_option(name, "1") is None


def test_a_file_is_read_as_the_prompt(tmp_path: Path) -> None:
    notes = tmp_path / "my notes.md"
    notes.write_text("Why is\nthe sky blue? é\n")
    assert prompt_of(f"@{notes} ") == "Why is\nthe sky blue? é\n"


def test_a_file_that_is_no_prompt_says_why(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\xff\xfe")
    large.write_bytes(b"x" * (MAX_BYTES + 1))
    for path, said in ((tmp_path / "none", "@@"), (tmp_path, "not a file"), (binary, "UTF-8"), (large, "bytes")):
        with pytest.raises(PromptUnreadable, match=said):
            prompt_of(f"@{path}")


@pytest.mark.parametrize("prompt", ["Why?", "@home?", "@@both", ""])
def test_any_prompt_can_be_typed(prompt: str) -> None:
    assert prompt_of(escaped(prompt)) == prompt
