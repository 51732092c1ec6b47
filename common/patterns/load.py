"""Read the patterns file, or say what is wrong with it and where."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.catalog.catalog import Catalog
from common.catalog.source import Place, Source
from common.contracts.analysis_types import BUILT_IN_NAMES
from common.contracts.patterns import NAME_PATTERN, Pattern, Stage
from common.errors import ModelNotFound
from common.patterns.json_source import read_json

# Beside the packages, in a checkout as in the image.
SHIPPED_PATH = Path(__file__).resolve().parents[2] / "config" / "analysis_patterns.json"

MAX_PATTERNS = 100

Patterns = Mapping[str, Pattern]


def load_patterns(path: Path, catalog: Catalog) -> Patterns:
    """The patterns of a file by name, with catalog ids for the models they name.

    Raises:
        ConfigError: one line that names the file, the line and the field.
    """
    source = read_json(path)
    if not isinstance(source.data, dict):
        raise source.fault((), "holds patterns by name: {NAME: {description, stages}}")
    if len(source.data) > MAX_PATTERNS:
        raise source.fault((), f"{len(source.data)} patterns; {MAX_PATTERNS} at most")
    return {name: _pattern(source, name, fields, catalog) for name, fields in source.data.items()}


def _pattern(source: Source, name: str, fields: Any, catalog: Catalog) -> Pattern:
    if not re.fullmatch(NAME_PATTERN, name):
        raise source.fault((name,), "a name is a small letter, then small letters, digits, - and _, 64 at most")
    if name in BUILT_IN_NAMES:
        raise source.fault((name,), "is built in; call yours something else")
    if not isinstance(fields, dict):
        raise source.fault((name,), "a pattern is an object with `description` and `stages`")
    if "name" in fields:
        raise source.fault((name, "name"), "not a field: the key above says it")
    result = fields.get("result")
    if isinstance(result, dict) and isinstance(result.get("schema"), str):  # as text it is for stored jobs only
        raise source.fault((name, "result", "schema"), "is an object, not text")
    try:
        pattern = Pattern.model_validate({"name": name, **fields})
    except ValidationError as error:
        raise source.first_fault((name,), error) from None
    _check_stages(source, pattern)
    _check_result(source, pattern)
    stages = [_with_ids(source, (name, "stages", index), stage, catalog) for index, stage in enumerate(pattern.stages)]
    return pattern.model_copy(update={"stages": tuple(stages)})


def _check_stages(source: Source, pattern: Pattern) -> None:
    """Names are told apart, and the first stage speaks of nothing that comes later."""
    seen: set[str] = set()
    for index, stage in enumerate(pattern.stages):
        if stage.name in seen:
            raise source.fault((pattern.name, "stages", index, "name"), f"another stage is called {stage.name!r}")
        seen.add(stage.name)
    if pattern.stages[0].uses("answers", "own_answer", "other_answers", "previous"):
        place = (pattern.name, "stages", 0, "template")
        raise source.fault(place, "nobody has answered before the first stage: it has {prompt} alone")


def _check_result(source: Source, pattern: Pattern) -> None:
    """The stage is there, and one model alone writes a document."""
    stage = pattern.result.stage
    names = [one.name for one in pattern.stages]
    if stage is not None and stage not in names:
        raise source.fault((pattern.name, "result", "stage"), f"no stage {stage!r}; there are {', '.join(names)}")
    shape = pattern.result.schema_
    if shape is None:
        return
    place: Place = (pattern.name, "result", "schema")
    if shape.type != "object":
        raise source.fault((*place, "type"), "the result is an object")
    if "parsed" in (shape.properties or {}):
        raise source.fault((*place, "properties", "parsed"), "tells in every result whether there is a document")
    asked = pattern.result_stage.models
    if asked == "all" or (asked != "lead" and len(asked) > 1):
        raise source.fault(place, f"stage {pattern.result_stage.name!r} asks several models; a document has one writer")


def _with_ids(source: Source, place: Place, stage: Stage, catalog: Catalog) -> Stage:
    if isinstance(stage.models, str):
        return stage
    return stage.model_copy(
        update={
            "models": tuple(
                _model_id(source, (*place, "models", index), name, catalog) for index, name in enumerate(stage.models)
            )
        }
    )


def _model_id(source: Source, place: Place, name: str, catalog: Catalog) -> str:
    try:
        return catalog.resolve(name).id
    except ModelNotFound as error:
        raise source.fault(place, error.message) from None
