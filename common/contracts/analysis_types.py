"""The analysis types that every installation has. The worker holds a workflow for each."""

from pydantic import BaseModel, Field


class AnalysisType(BaseModel):
    """What an analysis does with the answers."""

    name: str
    description: str
    built_in: bool = Field(True, description="False for one from ANALYSIS_PATTERNS_PATH.")


class AnalysisTypes(BaseModel):
    """All of them, by name."""

    data: list[AnalysisType]


BUILT_IN = (
    AnalysisType(
        name="comparative",
        description=(
            "Asks every model at once; a lead model then compares the answers, which it sees anonymous and "
            "shuffled: summary, agreements, disagreements, ranking, recommendation."
        ),
    ),
    AnalysisType(
        name="factual",
        description=(
            "Asks every model at once; a lead model then takes the answers apart into claims and says of each "
            "whether the answers support it, dispute it or leave it open."
        ),
    ),
)
