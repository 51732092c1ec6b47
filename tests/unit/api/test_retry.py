from typing import Any
from uuid import UUID

import pytest

from api import models_asked
from api.retry import again
from api.submit import resolve
from common.catalog.catalog import Catalog
from common.catalog.load import load_catalog
from common.contracts.analyses import AnalysisRequest
from common.contracts.patterns import Pattern
from common.errors import JobNotFinished, ModelGone
from common.ids import uuid7
from common.settings import Settings

GONE = "openai-gpt4o"
MINE = Pattern.model_validate(
    {
        "name": "mine",
        "description": "Mine.",
        "stages": [{"name": "ask", "models": [GONE], "template": "{prompt}"}],
        "result": {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }
)


@pytest.fixture
def catalog() -> Catalog:
    return load_catalog(Settings(model_mapping={"mine": "mock-a"}))


def ended(catalog: Catalog, status: str = "failed", **fields: Any) -> dict[str, Any]:
    """The row of a job that was submitted with this catalog."""
    job_id = uuid7()
    request = AnalysisRequest.model_validate({"prompt": "hi", "models": ["mine"]} | fields)
    analysis = resolve(request, catalog, {"mine": MINE}, job_id)
    return {"id": job_id, "status": status, "request": analysis.model_dump(mode="json")}


def without(catalog: Catalog, *names: str) -> Catalog:
    entries = {name: entry for name, entry in catalog.entries.items() if name not in names}
    return Catalog(entries, {}, default_models=catalog.default_models, default_lead=None)


@pytest.mark.parametrize("status", ["completed", "partial", "failed", "cancelled"])
def test_whatever_has_ended_is_asked_again_under_a_new_seed(catalog: Catalog, status: str) -> None:
    row, new_id = ended(catalog, status, analysis_type="mine"), uuid7()
    analysis = again(row, catalog, new_id)
    assert analysis.model_dump(mode="json") == row["request"] | {"seed": str(new_id)}
    assert analysis.pattern == MINE


@pytest.mark.parametrize("status", ["queued", "running"])
def test_what_has_not_ended_is_not_asked_twice(catalog: Catalog, status: str) -> None:
    with pytest.raises(JobNotFinished, match="cancel it first"):
        again(ended(catalog, status), catalog, uuid7())


def test_the_names_are_those_of_then_whatever_an_alias_means_now(catalog: Catalog) -> None:
    row = ended(catalog)
    other = load_catalog(Settings(model_mapping={"mine": "mock-b"}))
    [model] = again(row, other, uuid7()).models
    assert (model.asked, model.id) == ("mine", "mock-a")


@pytest.mark.parametrize(
    "fields",
    [
        {"models": [GONE]},
        {"lead_model": GONE},
        {"options": {"fallbacks": [GONE]}},
        {"analysis_type": "mine"},
    ],
)
def test_a_model_that_left_the_catalog_is_named_wherever_the_job_asks_it(
    catalog: Catalog, fields: dict[str, Any]
) -> None:
    with pytest.raises(ModelGone, match=f"no longer has {GONE}: put it back"):
        again(ended(catalog, **fields), without(catalog, GONE), UUID(int=1))


def test_what_a_caller_asks_is_told_apart_from_what_its_pattern_does(catalog: Catalog) -> None:
    fields = {"models": ["mine"], "lead_model": "mock-b", "options": {"fallbacks": ["mock-c"]}}
    request = AnalysisRequest.model_validate({"prompt": "hi", "analysis_type": "mine", **fields})
    analysis = resolve(request, catalog, {"mine": MINE}, uuid7())
    for asked in (models_asked.of_request(request, catalog), models_asked.of_analysis(analysis)):
        assert list(dict.fromkeys(asked)) == ["mock-a", "mock-b", "mock-c"]
    assert models_asked.of_pattern(analysis.pattern) == [GONE]
    assert models_asked.of_pattern(None) == []
