"""Which recipe belongs to which kind of job."""

from collections.abc import Callable, Generator, Sequence

from common.contracts.analyses import Analysis
from common.contracts.calls import Answer, Call
from common.contracts.jobs import Outcome

Recipe = Generator[Sequence[Call], Sequence[Answer], Outcome]
Workflow = Callable[[Analysis], Recipe]

_workflows: dict[str, Workflow] = {}


def workflow(kind: str) -> Callable[[Workflow], Workflow]:
    """Register a recipe. A kind belongs to one recipe only."""

    def register(recipe: Workflow) -> Workflow:
        if kind in _workflows:
            raise ValueError(f"workflow {kind!r} is registered twice")
        _workflows[kind] = recipe
        return recipe

    return register


def find(kind: str) -> Workflow | None:
    return _workflows.get(kind)
