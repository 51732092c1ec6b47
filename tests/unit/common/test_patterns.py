"""The patterns file: what it may say, and how it is told what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.catalog.catalog import Catalog
from common.catalog.load import load_catalog
from common.contracts.patterns import Pattern
from common.errors import ConfigError
from common.patterns.current import current_patterns
from common.patterns.load import SHIPPED_PATH, load_patterns
from common.reloading import Reloaded
from tests.unit.common import catalogs

CATALOG = Catalog(load_catalog(catalogs.settings()).entries, {"gpt4": "openai-gpt4o"}, ["mock-a"])

STAGE = {"name": "first", "models": "all", "template": "{prompt}"}
DOCUMENT = {"type": "object", "properties": {"score": {"type": "integer"}}}


def pattern(**fields: Any) -> dict[str, Any]:
    return {"description": "Mine.", "stages": [STAGE], **fields}


def stages(*given: dict[str, Any]) -> dict[str, Any]:
    return pattern(stages=[STAGE | {"name": f"s{index}"} | one for index, one in enumerate(given)])


def load(folder: Path, data: Any) -> dict[str, Pattern]:
    path = folder / "patterns.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
    return dict(load_patterns(path, CATALOG))


def fault(folder: Path, data: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, data)
    return caught.value.message.removeprefix(f"{folder}/")


def test_the_patterns_we_ship_are_right_and_explain_themselves() -> None:
    shipped = load_patterns(SHIPPED_PATH, CATALOG)
    assert {"perspective", "critique", "scenario", "premortem", "debate"} == set(shipped)
    for one in shipped.values():
        assert one.stages[0].uses("prompt")
        assert one.result_stage.models == "lead"


def test_the_pattern_of_the_documentation_is_right(tmp_path: Path) -> None:
    page = (SHIPPED_PATH.parents[1] / "docs" / "patterns.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("```json\n")
    example, _, _ = rest.partition("```")
    assert load(tmp_path, example)["second-opinion"].result.schema_ is not None
    told = fault(tmp_path, example.replace("{own_answer}", "{anwers}"))
    where, _, _ = told.partition(" is no")
    assert f"analysis_{where} is no placeholder" in page


def test_what_is_left_out_has_the_usual_value(tmp_path: Path) -> None:
    mine = load(tmp_path, {"mine": pattern()})["mine"]
    assert (mine.name, mine.cache, mine.result.schema_, mine.result_stage.name) == ("mine", False, None, "first")


def test_named_models_are_resolved_to_ids(tmp_path: Path) -> None:
    mine = load(tmp_path, {"mine": stages({"models": ["gpt4", "mock-x"]})})["mine"]
    assert mine.stages[0].models == ("openai-gpt4o", "mock-x")


def test_a_stored_pattern_is_the_same_again_and_its_schema_keeps_its_order(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer", "minimum": 1}}}
    mine = load(tmp_path, {"mine": stages({"models": "lead"}) | {"result": {"schema": schema}}})["mine"]
    stored = json.loads(json.dumps(mine.model_dump(mode="json"), sort_keys=True))  # as jsonb does
    again = Pattern.model_validate(stored)
    assert again == mine
    assert again.result.schema_ is not None
    assert json.dumps(again.result.schema_.schema_document()) == json.dumps(schema)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([], "1: holds patterns by name"),
        ({"Mine": pattern()}, "2: Mine: a name is a small letter"),
        ({"factual": pattern()}, "2: factual: is built in"),
        ({"mine": 7}, "2: mine: a pattern is an object"),
        ({"mine": pattern(name="other")}, "11: mine.name: not a field"),
        ({"mine": {"stages": [STAGE]}}, "2: mine.description: field required"),
        ({"mine": pattern(stages=[])}, "4: mine.stages: tuple should have at least 1 item"),
        ({"mine": pattern(colour="red")}, "11: mine.colour: no such field"),
        ({"mine": stages({}, {"name": "s0"})}, "11: mine.stages.1.name: another stage is called 's0'"),
        ({"mine": stages({"name": "Über"})}, "6: mine.stages.0.name: string should match pattern"),
        ({"mine": stages({"models": "some"})}, '7: mine.stages.0.models: "all", "lead", or a list of models'),
        ({"mine": stages({"models": []})}, "7: mine.stages.0.models: a list of 1 to 32 models"),
        ({"mine": stages({"models": [7]})}, "7: mine.stages.0.models: a list of models names each"),
        ({"mine": stages({"models": ["mock-a", "gtp4"]})}, "9: mine.stages.0.models.1: No model 'gtp4'. Did you"),
        ({"mine": stages({"template": ""})}, "8: mine.stages.0.template: string should have at least 1"),
        ({"mine": stages({"template": "{pormpt}"})}, "8: mine.stages.0.template: {pormpt} is no placeholder; there"),
        ({"mine": stages({"template": "{\n}"})}, "8: mine.stages.0.template: {\\n} is no placeholder"),
        ({"a\nb": 7}, "2: a\\nb: a name is a small letter"),
        ({"mine": stages({"template": "{0}"})}, "8: mine.stages.0.template: {0} is no placeholder"),
        ({"mine": stages({"template": "a { b"})}, "8: mine.stages.0.template: a lone { stands after 'a '"),
        ({"mine": stages({"template": "{prompt}" * 21})}, "8: mine.stages.0.template: more than 20 placeholders"),
        ({"mine": stages({"parameters": {"top_k": 1}})}, "10: mine.stages.0.parameters.top_k: no such field"),
        ({"mine": stages(*[{}] * 21)}, "4: mine.stages: tuple should have at most 20 items"),
        ({"mine": pattern(result={"stage": "last"})}, "12: mine.result.stage: no stage 'last'; there are first"),
        ({"mine": pattern(result={"schema": DOCUMENT})}, "12: mine.result.schema: stage 'first' asks several models"),
        ({"mine": pattern(result={"schema": "{}"})}, "12: mine.result.schema: is an object, not text"),
        ({"mine": pattern(result={"schema": {"type": "string"}})}, "13: mine.result.schema.type: the result is an obj"),
        (
            {"mine": pattern(result={"schema": {"type": "object", "properties": {"parsed": {"type": "string"}}}})},
            "15: mine.result.schema.properties.parsed: tells in every result",
        ),
        (
            {"mine": pattern(result={"schema": {"type": "object", "properties": {"a": {"$ref": "#/x"}}}})},
            "15: mine.result.schema.properties.a.type: field required",
        ),
        (
            {"mine": pattern(result={"schema": {"type": "object"}})},
            "12: mine.result.schema: an object has `properties`",
        ),
        (
            {"mine": pattern(result={"schema": DOCUMENT | {"required": ["b"]}})},
            "12: mine.result.schema: `required` names 'b'",
        ),
        (
            {"mine": pattern(result={"schema": {"type": "object", "properties": {"": {"type": "string"}}}})},
            "15: mine.result.schema.properties.: string should have at least 1",
        ),
        ({f"p{number}": pattern() for number in range(101)}, "1: 101 patterns; 100 at most"),
    ],
)
def test_a_fault_is_named_with_its_line_and_field(tmp_path: Path, data: Any, complaint: str) -> None:
    assert fault(tmp_path, data).startswith(f"patterns.json:{complaint}")


@pytest.mark.parametrize("name", ["answers", "own_answer", "other_answers", "previous"])
def test_the_first_stage_has_nobodys_answers(tmp_path: Path, name: str) -> None:
    told = fault(tmp_path, {"mine": stages({"template": f"{{prompt}} {{{name}}}"})})
    assert told.startswith("patterns.json:8: mine.stages.0.template: nobody has answered before the first stage")
    assert load(tmp_path, {"mine": stages({}, {"template": f"{{{name}}}"})})


def test_a_model_that_leaves_the_catalog_is_a_fault_and_one_that_comes_is_known(tmp_path: Path) -> None:
    path, models = tmp_path / "patterns.json", tmp_path / "models.yaml"
    path.write_text(json.dumps({"mine": stages({"models": ["openai-x"]})}))
    head = "defaults: {models: [mock-a]}\nmodels:\n  mock-a:\n"
    settings = catalogs.settings(ultra_models_path=models, analysis_patterns_path=path)
    models.write_text(head + "  openai-x:\n")
    catalog = Reloaded(lambda: load_catalog(settings), [models])
    patterns = current_patterns(settings, catalog)
    models.write_text(head)
    catalog.look()
    patterns.look()
    assert patterns.fault == f"{path}:1: mine.stages.0.models.0: No model 'openai-x'."
    models.write_text(head + "  openai-x:\n  openai-y:\n")
    catalog.look()
    patterns.look()
    assert patterns.fault is None


NEARLY_TEMPLATES = st.lists(
    st.sampled_from(["{prompt}", "{answers}", "{own_answer}", "{", "}", "{{", "x", "{x}", "{\n}"])
).map("".join)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | NEARLY_TEMPLATES
    | st.sampled_from(["all", "lead", "first", "mock-a", "object", "array", "string", "integer", '{"type": "string"}'])
    | st.text(max_size=4)
)
KEYS = st.sampled_from(
    [
        *("mine", "factual", "description", "stages", "result", "cache", "name", "models", "system", "template"),
        *("parameters", "temperature", "max_tokens", "stage", "schema", "type", "properties", "required", "items"),
        *("enum", "minimum", "maximum", "maxLength", "minItems", "additionalProperties"),
    ]
) | st.text(max_size=3)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)


def fields(required: dict[str, Any], optional: dict[str, Any]) -> Any:
    """Mostly what belongs there, sometimes anything."""
    return st.fixed_dictionaries(
        {name: value | ANYTHING for name, value in required.items()},
        optional={name: value | ANYTHING for name, value in optional.items()},
    )


SHAPES = st.recursive(
    fields({"type": st.just("string")}, {"enum": st.lists(st.text(max_size=3))}),
    lambda inner: (
        fields({"type": st.just("object"), "properties": st.dictionaries(KEYS, inner, max_size=3)}, {})
        | fields({"type": st.just("array"), "items": inner}, {"minItems": st.integers(), "maximum": st.floats()})
    ),
    max_leaves=6,
)
STAGES = fields(
    {"name": st.sampled_from(["first", "second"]), "models": st.just("lead"), "template": NEARLY_TEMPLATES},
    {"parameters": fields({}, {"temperature": st.floats(), "max_tokens": st.integers()}), "system": st.text()},
)
FILES = st.dictionaries(
    st.just("mine") | KEYS,
    fields(
        {"description": st.just("d"), "stages": st.lists(STAGES, min_size=1, max_size=3)},
        {"result": fields({}, {"stage": st.just("first"), "schema": SHAPES}), "cache": st.booleans()},
    ),
    max_size=2,
)


@given(FILES | ANYTHING)
def test_whatever_the_file_says_it_is_loaded_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    path = tmp_path_factory.mktemp("patterns") / "p.json"
    path.write_text(json.dumps(data))
    try:
        patterns, told = load_patterns(path, CATALOG), None
    except ConfigError as error:
        patterns, told = {}, error.message
    assert told is None or (told.startswith(f"{path}:") and "\n" not in told)
    assert all(Pattern.model_validate_json(one.model_dump_json()) == one for one in patterns.values())
