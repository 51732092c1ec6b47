"""The analysis types: those that every installation has, and an operator's patterns."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from common.contracts.patterns import Pattern


class AnalysisType(BaseModel):
    """What an analysis does with the answers."""

    name: str
    description: str
    built_in: bool = Field(True, description="False for one from ANALYSIS_PATTERNS_PATH.")


class AnalysisTypes(BaseModel):
    """All of them, by name."""

    data: list[AnalysisType]


# The worker holds a workflow for each.
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
BUILT_IN_NAMES = frozenset(one.name for one in BUILT_IN)


def analysis_types(patterns: Mapping[str, Pattern]) -> list[AnalysisType]:
    """Every type that a submission may name, those built in first."""
    custom = (AnalysisType(name=one.name, description=one.description, built_in=False) for one in patterns.values())
    return [*BUILT_IN, *custom]
