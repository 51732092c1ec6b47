"""A pattern: an analysis of the operator's own, in stages. A job carries the one it was submitted with."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from common.contracts.shapes import Shape
from common.contracts.templates import placeholders

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,63}$"
MAX_STAGES = 20
MAX_TEMPLATE_CHARACTERS = 20_000
MAX_MODELS = 32
MAX_MODEL_NAME_CHARACTERS = 200

Asked = Literal["all", "lead"] | tuple[str, ...]


class StageParameters(BaseModel):
    """How a stage's calls are sampled; what is left out comes from the request, then from the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=131_072)


class Stage(BaseModel):
    """One round: the same template to one model or several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN)
    models: Asked = Field(description="`all` of the request's, its `lead`, or these catalog ids.")
    system: str | None = Field(None, min_length=1, max_length=MAX_TEMPLATE_CHARACTERS)
    template: str = Field(min_length=1, max_length=MAX_TEMPLATE_CHARACTERS)
    parameters: StageParameters = StageParameters()

    @field_validator("models", mode="before")
    @classmethod
    def _all_lead_or_names(cls, given: Any) -> Any:
        # Said once here: of a union pydantic complains once a member.
        if isinstance(given, list | tuple):
            if not 1 <= len(given) <= MAX_MODELS:
                raise ValueError(f"a list of 1 to {MAX_MODELS} models")
            for name in given:
                if not isinstance(name, str) or not 1 <= len(name) <= MAX_MODEL_NAME_CHARACTERS:
                    raise ValueError("a list of models names each by its id or an alias")
        elif given not in ("all", "lead"):
            raise ValueError('"all", "lead", or a list of models')
        return given

    @field_validator("template")
    @classmethod
    def _known_placeholders(cls, given: str) -> str:
        placeholders(given)
        return given

    def uses(self, *names: str) -> bool:
        """Whether the template has one of these placeholders."""
        return not set(names).isdisjoint(placeholders(self.template))


class PatternResult(BaseModel):
    """Which stage's answers are the result, and what document they should be."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    stage: str | None = Field(None, description="The last one if left out.")
    schema_: Shape | None = Field(None, alias="schema")

    @field_validator("schema_", mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return json.loads(given) if isinstance(given, str) else given

    @field_serializer("schema_", when_used="json")
    def _as_text(self, given: Shape | None) -> str | None:
        # Postgres' jsonb, where requests are, forgets the order of fields, and a model writes them in that order.
        return json.dumps(given.schema_document()) if given is not None else None


class Pattern(BaseModel):
    """What a job does, stage by stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN)
    description: str = Field(min_length=1, max_length=1000)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)
    result: PatternResult = PatternResult()
    cache: bool = Field(False, description="Equal calls' recorded answers will do, unless a request says otherwise.")

    @property
    def result_stage(self) -> Stage:
        """The stage whose answers are the result."""
        return next((stage for stage in self.stages if stage.name == self.result.stage), self.stages[-1])

    def schema_of(self, stage: Stage) -> dict[str, Any] | None:
        """The JSON Schema that a stage's answer should obey: the result's, where the stage writes it."""
        shape = self.result.schema_
        return shape.schema_document() if shape is not None and stage == self.result_stage else None
