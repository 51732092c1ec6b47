from typing import Any

import pytest
from pydantic import BaseModel

from api import examples
from common.contracts.analyses import AnalysisDocument, AnalysisPage, JobAccepted
from common.contracts.dead_letters import DeadPage
from common.contracts.fleet import InferenceDocument, OperationAccepted, OperationDocument
from common.contracts.jobs import JobDocument
from common.contracts.usage import UsageReport


@pytest.mark.parametrize(
    ("contract", "example"),
    [
        (JobAccepted, examples.ACCEPTED),
        (AnalysisDocument, examples.ANALYSIS),
        (AnalysisPage, examples.PAGE),
        (JobDocument, examples.JOB),
        (DeadPage, examples.DEAD_PAGE),
        (UsageReport, examples.USAGE),
        (OperationAccepted, examples.OPERATION_ACCEPTED),
        (OperationDocument, examples.OPERATION),
        (InferenceDocument, examples.INFERENCE),
    ],
)
def test_what_the_documentation_shows_is_what_is_served(contract: type[BaseModel], example: dict[str, Any]) -> None:
    assert contract.model_validate(example).model_dump(mode="json") == example
