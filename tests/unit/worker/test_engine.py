"""A job's next step, without a database."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from common.catalog.catalog import Catalog
from common.contracts.analyses import Analysis
from common.contracts.calls import Answer
from common.contracts.patterns import Pattern
from common.database.connect import connect
from common.ids import uuid7
from common.lanes import Lane
from tests.unit.worker.recipes import analysis, answer, drive
from worker import workflows
from worker.engine import Engine
from worker.store import Ended, Store
from worker.workflows.factual import check

PATTERN = Pattern.model_validate(
    {"name": "mine", "description": "d", "stages": [{"name": "ask", "models": ["mock-x"], "template": "{prompt}!"}]}
)


class OneJob(Store):
    """Holds a job; keeps what the engine wants to store."""

    def __init__(self, kind: str, request: Analysis, *rounds: list[tuple[str, Answer]]) -> None:
        engine = connect("postgresql://nobody@127.0.0.1:1/none")
        super().__init__(engine, worker="w", lease=timedelta(seconds=1), grace=timedelta(seconds=1))
        self.begun: list[dict[str, Any]] = []
        self.ending: dict[str, Any] = {}
        self._job: Any = {
            "id": uuid7(),
            "kind": kind,
            "status": "running",
            "pending": 0,
            "round": len(rounds),
            "total": 0,
            "request": request.model_dump(mode="json"),
            "calls": [
                {"round": number, "fingerprint": fingerprint, "answer": one.model_dump(mode="json")}
                for number, answers in enumerate(rounds)
                for fingerprint, one in answers
            ],
        }

    async def load_job(self, job_id: UUID) -> Any:
        return self._job

    async def begin_round(self, asked: list[dict[str, Any]]) -> Lane | None:
        self.begun = asked
        return Lane.FRONT

    async def finish_job(self, ending: dict[str, Any]) -> Ended | None:
        self.ending = ending
        return Ended()


class NoEvents:
    def append(self, job_id: UUID, name: str, data: dict[str, Any]) -> None:
        """Nobody watches."""


@pytest.fixture(autouse=True, scope="module")
def _recipes() -> None:
    workflows.register_all()


async def advance(store: OneJob, catalog: Catalog | None = None) -> None:
    await Engine(store, lambda: catalog or Catalog({}, {}), NoEvents()).advance(uuid7())


async def test_a_job_that_carries_a_pattern_follows_it_whatever_its_kind_is_called() -> None:
    store = OneJob("mine", analysis("mock-a").model_copy(update={"pattern": PATTERN}))
    await advance(store)
    assert [(call["model"], call["request"]["messages"][0]["content"]) for call in store.begun] == [
        ("mock-x", "Why is the sky blue?!")
    ]


async def test_a_kind_without_a_recipe_ends_the_job_with_the_reason() -> None:
    store = OneJob("mine", analysis("mock-a"))
    await advance(store)
    assert (store.ending["status"], store.ending["error"]["code"]) == ("failed", "workflow_changed")


async def test_a_model_that_has_left_the_catalog_ends_the_job_with_the_reason() -> None:
    store = OneJob("factual", analysis("openai-gone"))
    await advance(store)
    assert (store.ending["status"], store.ending["error"]["code"]) == ("failed", "model_not_found")


async def test_what_a_model_spells_in_json_and_no_text_may_hold_is_replaced() -> None:
    request = analysis("a")
    report = {
        "answer": "a\x00b",
        "claims": [{"claim": "c\x00", "verdict": "supported", "support": "s"}],
        "confidence": 5,
    }
    heard = [answer("a")]
    [first], [second] = drive(check, request), drive(check, request, heard)
    weighed = answer("lead", json.dumps(report))
    assert "\x00" not in (weighed.text or "")
    store = OneJob("factual", request, [(first.fingerprint(), heard[0])], [(second.fingerprint(), weighed)])
    await advance(store)
    assert store.ending["status"] == "completed"
    assert store.ending["result"]["answer"] == "a\N{REPLACEMENT CHARACTER}b"
    assert "\x00" not in repr(store.ending)
    assert "\\x00" not in repr(store.ending)
