"""The wire shapes of analyses, as `POST /api/analyze` takes them and `GET /api/analysis/{id}` shows them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from common.contracts.calls import Answer, ErrorClass, ErrorDetail, Routing
from common.contracts.jobs import JobStatus, Links, Progress
from common.contracts.patterns import Pattern

OutputFormat = Literal["json", "text", "markdown"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _without_nul(value: str) -> str:
    # Postgres stores NUL neither in text nor in jsonb; refusing it at the door is kinder than losing it inside.
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


# More than any chain is long that a person waits for.
MAX_FALLBACKS = 16
Names = Annotated[list[ModelName], Field(max_length=MAX_FALLBACKS)]
StorableText = Annotated[str, AfterValidator(_without_nul)]
# Its length comes first: after a validator of ours pydantic speaks of items rather than of characters.
Prompt = Annotated[
    str, StringConstraints(min_length=1, max_length=500_000), AfterValidator(_without_nul), AfterValidator(_not_blank)
]


class AnalysisOptions(BaseModel):
    """What may be set for one analysis; anything left out comes from the catalog."""

    model_config = ConfigDict(extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=131_072)
    timeout_seconds: float | None = Field(None, gt=0, le=3600, description="Deadline of each call.")
    system: StorableText | None = Field(None, max_length=100_000, description="System prompt for every model.")
    cache: bool | None = Field(
        None, description="Whether equal calls' recorded answers will do; as the pattern says if left out, or not."
    )
    merge: bool = Field(
        True, description="False returns the answers without a lead model's comparison. Patterns go through all stages."
    )
    fallbacks: Names | dict[ErrorClass, Names] | None = Field(
        None,
        description="Models to ask in the place of one that fails, in this order: for every class of error, or by "
        "class. `[]` or `{}` switches the catalog's off.",
    )
    prefer: Literal["local", "cloud"] | None = Field(None, description="Which side of a chain is asked first.")


class AnalysisRequest(BaseModel):
    """One prompt for many models."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "prompt": "Explain quantum computing",
                    "analysis_type": "comparative",
                    "models": ["docker_modelrunner-smollm2", "docker_modelrunner-smollm2-creative"],
                    "output_format": "json",
                }
            ]
        },
    )

    prompt: Prompt
    analysis_type: str = Field("comparative", min_length=1, max_length=100)
    models: list[ModelName] | None = Field(
        None,
        min_length=1,
        max_length=32,
        description="Ids or aliases; the configured default set if left out.",
    )
    output_format: OutputFormat = "json"
    lead_model: ModelName | None = Field(
        None, description="Compares the answers; the catalog's, or else the first model, if left out."
    )
    options: AnalysisOptions = AnalysisOptions()


class AskedModel(BaseModel):
    """The name that was asked for and the catalog id it resolved to."""

    asked: str
    id: str


class Analysis(BaseModel):
    """A request after the door: names resolved, defaults filled in. This is what a job row stores."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    analysis_type: str
    models: tuple[AskedModel, ...]
    lead_model: str
    output_format: OutputFormat
    options: AnalysisOptions
    seed: str = Field(description="Shuffles the answers; the job's id.")
    routing: Routing = Field(Routing(), description="Of every call of the job: the options' names as catalog ids.")
    pattern: Pattern | None = Field(None, description="As it was at submission: a later edit changes no job.")


class JobAccepted(BaseModel):
    """The job is committed: it will run, whatever dies."""

    id: str
    status: JobStatus
    analysis_type: str
    models: list[AskedModel]
    created_at: str
    links: Links


class AnalysisSummary(BaseModel):
    """A line of the list: no payloads."""

    id: str
    status: JobStatus
    analysis_type: str
    models: list[AskedModel]
    created_at: str
    started_at: str | None
    finished_at: str | None
    progress: Progress
    links: Links


class AnalysisPage(BaseModel):
    """Newest first. `next_cursor` is null on the last page, and only there: a filtered page may be short or empty."""

    data: list[AnalysisSummary]
    next_cursor: str | None


class AnalysisDocument(AnalysisSummary):
    """The whole analysis."""

    prompt: str
    output_format: OutputFormat
    answers: list[Answer]
    result: dict[str, Any] | None
    text: str | None
    error: ErrorDetail | None
    retry_of: str | None = Field(None, description="The analysis that was submitted again as this one.")
