"""The way of a call along its chain, decision by decision."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from common.catalog.catalog import Catalog
from common.contracts.calls import Attempt, Call, Routing
from common.contracts.messages import Message
from common.routing import (
    FAILOVER_PATIENCE_SECONDS,
    Ask,
    Chain,
    GiveUp,
    Wait,
    backoff_seconds,
    chain_of,
    first,
    has_local_alternative,
    local_entry,
    next_step,
    stand_ins,
)
from tests.unit.common.catalogs import catalog

MODELS = """\
    defaults:
      models: [docker_modelrunner-small, openai-big]
    models:
      openai-big:
        fallbacks:
          rate_limited: [anthropic-other]
          context_too_long: [google-long]
          unavailable: [anthropic-other, docker_modelrunner-small]
      openai-alone:
      anthropic-other: {aliases: [other]}
      google-long:
      docker_modelrunner-small: {fallbacks: [openai-big]}
"""


@pytest.fixture
def models(tmp_path: Path) -> Catalog:
    return catalog(tmp_path, MODELS)


def chain(models: Catalog, model: str = "openai-big", **routing: object) -> Chain:
    call = Call(model=model, messages=(Message(role="user", content="Why?"),), routing=Routing(**routing))
    return chain_of(call, models, stand_ins(models, None, ()))


def met(*pairs: tuple[str, str]) -> list[Attempt]:
    return [Attempt(model=model, code=code, message=code) for model, code in pairs]


def step(chain: Chain, history: Sequence[Attempt], **given: object) -> Ask | Wait | GiveUp:
    return next_step(chain, history, **{"max_attempts": 3, "has_budget": True, **given})  # type: ignore[arg-type]


def asked(taken: Ask | Wait | GiveUp) -> str:
    assert isinstance(taken, Ask), taken
    return taken.entry.id


def test_a_passing_fault_is_worth_another_attempt_at_the_same_model(models: Catalog) -> None:
    taken = step(chain(models), met(("openai-big", "unavailable")))
    assert isinstance(taken, Wait)
    assert taken.entry.id == "openai-big"
    assert 0 <= taken.seconds <= 1


def test_after_the_last_attempt_the_chain_for_that_class_of_error_is_asked(models: Catalog) -> None:
    tried = met(*[("openai-big", "rate_limited")] * 3)
    assert asked(step(chain(models), tried)) == "anthropic-other"
    assert isinstance(step(chain(models), [*tried, *met(*[("anthropic-other", "rate_limited")] * 3)]), GiveUp)


@pytest.mark.parametrize(
    ("code", "next_model"), [("context_too_long", "google-long"), ("unsupported", "anthropic-other")]
)
def test_an_error_that_time_does_not_heal_goes_on_at_once(models: Catalog, code: str, next_model: str) -> None:
    assert asked(step(chain(models), met(("openai-big", code)))) == next_model


@pytest.mark.parametrize("code", ["content_refused", "upstream_rejected", "error"])
def test_an_error_without_a_chain_ends_the_call(models: Catalog, code: str) -> None:
    assert isinstance(step(chain(models), met(("openai-big", code))), GiveUp)


def test_a_long_retry_after_is_honoured_by_asking_somebody_else(models: Catalog) -> None:
    history = met(("openai-big", "rate_limited"))
    long = FAILOVER_PATIENCE_SECONDS * 2
    assert asked(step(chain(models), history, retry_after_seconds=long)) == "anthropic-other"
    alone = step(chain(models, "openai-alone"), met(("openai-alone", "rate_limited")), retry_after_seconds=long)
    assert isinstance(alone, Wait)
    assert alone.seconds >= long


def test_an_open_circuit_fails_over_at_once_and_waits_only_where_nobody_else_is(models: Catalog) -> None:
    assert asked(step(chain(models), met(("openai-big", "circuit_open")))) == "anthropic-other"
    waited = met(*[("openai-alone", "circuit_open")] * 5)
    alone = step(chain(models, "openai-alone"), waited, retry_after_seconds=14)
    assert isinstance(alone, Wait)
    assert alone.seconds >= 14
    assert isinstance(step(chain(models, "openai-alone"), waited, has_budget=False), GiveUp)


def test_without_budget_nothing_is_retried(models: Catalog) -> None:
    history = met(("openai-big", "unavailable"))
    assert asked(step(chain(models), history, has_budget=False)) == "anthropic-other"
    history = met(("openai-alone", "unavailable"))
    assert isinstance(step(chain(models, "openai-alone"), history, has_budget=False), GiveUp)


def test_offline_only_local_models_are_asked(models: Catalog) -> None:
    offline = met(("openai-big", "unavailable"), ("openai-big", "offline"))
    assert asked(step(chain(models), offline)) == "docker_modelrunner-small"
    # the stand-in serves a model that has no fallback at all
    assert asked(step(chain(models, "openai-alone"), met(("openai-alone", "offline")))) == "docker_modelrunner-small"


def test_a_stand_in_that_fails_too_is_tried_again_and_then_given_up(models: Catalog) -> None:
    history = met(("openai-alone", "offline"), ("docker_modelrunner-small", "unavailable"))
    again = step(chain(models, "openai-alone"), history)
    assert isinstance(again, Wait)
    assert again.entry.id == "docker_modelrunner-small"
    tired = [history[0], *history[1:] * 3]
    assert isinstance(step(chain(models, "openai-alone"), tired), GiveUp)


def test_a_request_may_bring_a_chain_of_its_own_or_none(models: Catalog) -> None:
    own = chain(models, fallbacks={"rate_limited": ("google-long",)})
    assert asked(step(own, met(*[("openai-big", "rate_limited")] * 3))) == "google-long"
    none = chain(models, fallbacks={})
    assert isinstance(step(none, met(("openai-big", "context_too_long"))), GiveUp)


def test_a_fallback_that_left_the_catalog_is_left_out(models: Catalog) -> None:
    own = chain(models, fallbacks={"unavailable": ("openai-gone", "google-long")})
    assert asked(step(own, met(("openai-big", "bad_upstream")), max_attempts=1)) == "google-long"


def test_preferring_the_other_side_asks_it_first_and_the_named_model_after(models: Catalog) -> None:
    preferred = first(chain(models), "local")
    assert preferred.id == "docker_modelrunner-small"
    history = met(("openai-big", "preference"), *[("docker_modelrunner-small", "unavailable")] * 3)
    assert asked(step(chain(models), history)) == "openai-big"
    assert first(chain(models, "docker_modelrunner-small"), "cloud").id == "openai-big"
    assert first(chain(models), "cloud").id == first(chain(models), None).id == "openai-big"


def test_what_is_on_the_preferred_side_already_is_asked_itself(models: Catalog) -> None:
    other = {"unavailable": ("docker_modelrunner-phi3",)}
    assert first(chain(models, "docker_modelrunner-small", fallbacks=other), "local").id == "docker_modelrunner-small"


def test_without_a_preference_the_named_model_is_asked_wherever_it_is(models: Catalog) -> None:
    assert first(chain(models, "docker_modelrunner-small"), None).id == "docker_modelrunner-small"


def test_the_cloud_is_preferred_to_a_local_fallback_that_is_named_before_it(models: Catalog) -> None:
    mixed = chain(models, "docker_modelrunner-small", fallbacks={"unavailable": ("docker_modelrunner-phi3", "other")})
    assert first(mixed, "cloud").id == "anthropic-other"


def test_each_model_has_its_own_attempts(models: Catalog) -> None:
    history = met(*[("openai-big", "rate_limited")] * 3, ("anthropic-other", "rate_limited"))
    again = step(chain(models), history)
    assert isinstance(again, Wait)
    assert again.entry.id == "anthropic-other"


def test_a_model_that_left_the_chain_meanwhile_is_not_asked_again(models: Catalog) -> None:
    assert asked(step(chain(models), met(("openai-gone", "unavailable")))) == "anthropic-other"


def test_a_local_model_that_was_named_answers_when_the_preferred_cloud_cannot_be_reached(models: Catalog) -> None:
    named = chain(models, "docker_modelrunner-small")
    history = met(("docker_modelrunner-small", "preference"))
    assert has_local_alternative(named, history)
    assert asked(step(named, [*history, *met(("openai-big", "offline"))])) == "docker_modelrunner-small"


def test_an_error_without_a_chain_ends_a_call_with_a_preference_too(models: Catalog) -> None:
    history = met(("openai-big", "preference"), ("docker_modelrunner-small", "upstream_rejected"))
    assert isinstance(step(chain(models), history), GiveUp)


def test_once_offline_no_cloud_is_asked_when_the_local_models_fail_too(models: Catalog) -> None:
    history = met(("openai-big", "offline"), *[("docker_modelrunner-small", "unavailable")] * 3)
    assert isinstance(step(chain(models), history), GiveUp)


def test_what_stands_in_is_the_named_local_models_else_the_default_ones(models: Catalog) -> None:
    named = stand_ins(models, "phi3:mini", ["docker_modelrunner-small", "phi3:mini", ""])
    assert [entry.id for entry in named] == ["docker_modelrunner-phi3:mini", "docker_modelrunner-small"]
    assert [entry.id for entry in stand_ins(models, None, ())] == ["docker_modelrunner-small"]
    assert local_entry(models, "other") is None or local_entry(models, "other").local  # type: ignore[union-attr]


def test_only_a_cloud_model_has_stand_ins(models: Catalog) -> None:
    assert chain(models, "docker_modelrunner-small").stand_ins == ()
    assert has_local_alternative(chain(models, "openai-alone"), [])
    assert not has_local_alternative(chain(models, "docker_modelrunner-small"), [])


@pytest.mark.parametrize("attempt", range(1, 12))
def test_backoff_is_jittered_below_a_bound_that_doubles_up_to_half_a_minute(attempt: int) -> None:
    drawn = [backoff_seconds(attempt, None) for _ in range(200)]
    bound = min(30.0, 0.5 * 2**attempt)
    assert max(drawn) <= bound
    assert max(drawn) - min(drawn) > bound / 2  # not all at once again
    assert backoff_seconds(attempt, 7) >= 7
    assert backoff_seconds(attempt, 86_400) == 120
