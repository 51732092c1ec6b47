from common.contracts.analysis_types import BUILT_IN
from worker import workflows
from worker.workflows import registry


def test_every_type_that_the_api_accepts_has_a_workflow() -> None:
    workflows.register_all()
    assert all(registry.find(one.name) for one in BUILT_IN)


def test_an_unknown_kind_has_none() -> None:
    assert registry.find("palmistry") is None
