import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from sqlalchemy.exc import DataError

from api.backlog import Backlog
from api.database import Database, Row
from api.submit import Submissions, fingerprint, idempotency_key, resolve
from common.catalog.catalog import Catalog
from common.catalog.load import load_catalog
from common.contracts.analyses import Analysis, AnalysisRequest
from common.contracts.calls import ErrorClass, Routing
from common.contracts.patterns import Pattern
from common.database.connect import connect
from common.doorbell import CONTROL_QUEUE, Doorbell, producer_app
from common.errors import Busy, InvalidInput, ModelNotFound, UnknownAnalysisType
from common.ids import uuid7
from common.lanes import Lane
from common.settings import Settings


@pytest.fixture
def catalog() -> Catalog:
    return load_catalog(Settings(model_mapping={"mine": "mock-a"}))


MINE = Pattern.model_validate(
    {
        "name": "mine",
        "description": "Mine.",
        "stages": [{"name": "ask", "models": "lead", "template": "{prompt}"}],
        "result": {"schema": {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}},
    }
)


def asked(**fields: Any) -> AnalysisRequest:
    return AnalysisRequest.model_validate({"prompt": "hi", "models": ["mock-a", "mock-b"]} | fields)


def test_aliases_are_resolved_and_both_names_kept(catalog: Catalog) -> None:
    analysis = resolve(asked(models=["mine"]), catalog, {}, uuid7())
    assert [(one.asked, one.id) for one in analysis.models] == [("mine", "mock-a")]


def test_without_models_the_default_set_is_asked(catalog: Catalog) -> None:
    analysis = resolve(asked(models=None), catalog, {}, uuid7())
    assert tuple(one.id for one in analysis.models) == catalog.default_models


def test_a_model_named_twice_is_asked_twice(catalog: Catalog) -> None:
    assert len(resolve(asked(models=["mock-a", "mock-a"]), catalog, {}, uuid7()).models) == 2


def test_the_first_model_leads_unless_another_is_named(catalog: Catalog) -> None:
    assert resolve(asked(), catalog, {}, uuid7()).lead_model == "mock-a"
    assert resolve(asked(lead_model="mine"), catalog, {}, uuid7()).lead_model == "mock-a"
    assert resolve(asked(lead_model="mock-c"), catalog, {}, uuid7()).lead_model == "mock-c"


def test_the_jobs_id_is_the_seed(catalog: Catalog) -> None:
    job_id = uuid7()
    assert resolve(asked(), catalog, {}, job_id).seed == str(job_id)


def test_an_unknown_type_is_refused_with_the_known_ones(catalog: Catalog) -> None:
    with pytest.raises(UnknownAnalysisType, match="comparative, factual"):
        resolve(asked(analysis_type="compare"), catalog, {}, uuid7())


def test_a_pattern_is_a_type_too_and_the_job_carries_it(catalog: Catalog) -> None:
    analysis = resolve(asked(analysis_type="mine"), catalog, {"mine": MINE}, uuid7())
    assert (analysis.analysis_type, analysis.pattern) == ("mine", MINE)
    assert Analysis(**analysis.model_dump(mode="json")) == analysis
    with pytest.raises(UnknownAnalysisType, match="comparative, factual, mine"):
        resolve(asked(analysis_type="yours"), catalog, {"mine": MINE}, uuid7())


def test_a_built_in_type_carries_no_pattern(catalog: Catalog) -> None:
    assert resolve(asked(), catalog, {"mine": MINE}, uuid7()).pattern is None


def test_a_pattern_that_names_a_model_which_left_the_catalog_is_refused(catalog: Catalog) -> None:
    gone = MINE.stages[0].model_copy(update={"models": ("openai-gone",)})
    pattern = MINE.model_copy(update={"stages": (gone,)})
    with pytest.raises(ModelNotFound, match="openai-gone"):
        resolve(asked(analysis_type="mine"), catalog, {"mine": pattern}, uuid7())


@pytest.mark.parametrize(
    ("options", "usual", "cache"),
    [({}, False, False), ({}, True, True), ({"cache": True}, False, True), ({"cache": False}, True, False)],
)
def test_recorded_answers_will_do_as_the_request_says_or_else_the_pattern(
    catalog: Catalog, options: dict[str, Any], usual: bool, cache: bool
) -> None:
    patterns = {"mine": MINE.model_copy(update={"cache": usual})}
    analysis = resolve(asked(analysis_type="mine", options=options), catalog, patterns, uuid7())
    assert analysis.routing.cache is cache


@pytest.mark.parametrize(
    ("fallbacks", "routed"),
    [
        (None, None),
        ([], {}),
        ({}, {}),
        (["mine", "mock-b"], dict.fromkeys(get_args(ErrorClass), ("mock-a", "mock-b"))),
        ({"rate_limited": ["mine"], "unavailable": []}, {"rate_limited": ("mock-a",)}),
    ],
)
def test_fallbacks_are_resolved_for_every_class_of_error_they_are_given_for(
    catalog: Catalog, fallbacks: Any, routed: Any
) -> None:
    options = {"fallbacks": fallbacks, "prefer": "local"}
    analysis = resolve(asked(options=options), catalog, {}, uuid7())
    assert analysis.routing == Routing(fallbacks=routed, prefer="local")


def test_a_job_that_was_stored_before_there_were_patterns_is_read(catalog: Catalog) -> None:
    stored = resolve(asked(), catalog, {}, uuid7()).model_dump(mode="json", exclude={"pattern", "routing"})
    stored["options"] = {"temperature": None, "cache": False, "merge": True}
    assert Analysis(**stored).routing == Routing()


@pytest.mark.parametrize(
    "fields",
    [
        {"models": ["mock-a", "gpt5"]},
        {"lead_model": "gpt5"},
        {"options": {"fallbacks": ["gpt5"]}},
        {"options": {"fallbacks": {"unavailable": ["mock-a", "gpt5"]}}},
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest(catalog: Catalog, fields: dict[str, Any]) -> None:
    with pytest.raises(ModelNotFound, match="gpt4"):
        resolve(asked(**fields), catalog, {}, uuid7())


def test_equal_requests_have_equal_fingerprints_however_they_were_written() -> None:
    one = AnalysisRequest.model_validate_json(b'{"prompt": "hi", "models": ["a"]}')
    same = AnalysisRequest.model_validate_json(b'{"models":["a"], "output_format":"json", "prompt":"h\\u0069"}')
    other = AnalysisRequest.model_validate_json(b'{"prompt": "hi", "models": ["b"]}')
    default = AnalysisRequest.model_validate({"prompt": "hi", "models": ["a"], "options": {"prefer": None}})
    assert fingerprint(one) == fingerprint(same) == fingerprint(default) != fingerprint(other)


@pytest.mark.parametrize("key", ["a", " ", "~" * 255, "order 17/3"])
def test_printable_ascii_is_a_key(key: str) -> None:
    assert idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb", "a\x7f"])
def test_anything_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="printable"):
        idempotency_key(key)


class FussyDatabase(Database):
    """Stores rows, except what cannot be stored; a batch with such a row fails as a whole."""

    def __init__(self) -> None:
        super().__init__(connect("postgresql://nobody@127.0.0.1:1/none"))
        self.statements = 0

    async def fetch(self, statement: Any, *, seconds: float = 1) -> list[Row]:
        self.statements += 1
        rows = statement.compile().params["rows"]
        if any(row["request"]["prompt"] == "poison" for row in rows):
            raise DataError("INSERT", {}, ValueError("unsupported Unicode escape sequence"))
        return [{"id": UUID(row["id"]), "created_at": datetime.now(UTC)} for row in rows]


class SilentDoorbell(Doorbell):
    """Keeps what was rung for."""

    def __init__(self) -> None:
        super().__init__(producer_app("redis://127.0.0.1:1/0"))
        self.rung: list[str] = []

    def ring(self, job_id: str, lane: Lane = Lane.FRONT, queue: str = CONTROL_QUEUE) -> None:
        self.rung.append(job_id)


def submissions(catalog: Catalog, limit: int = 1000) -> tuple[Submissions, FussyDatabase, SilentDoorbell]:
    database, doorbell = FussyDatabase(), SilentDoorbell()
    backlog = Backlog(database, limit, places=1000)
    return Submissions(database, lambda: catalog, dict, doorbell, backlog, timedelta(seconds=5)), database, doorbell


async def test_submissions_that_come_together_are_committed_together_and_rung_for(catalog: Catalog) -> None:
    desk, database, doorbell = submissions(catalog)
    accepted = await asyncio.gather(*(desk.submit(asked(), owner="", idempotency_key=None) for _ in range(100)))
    assert len({one.job.id for one in accepted}) == 100
    assert database.statements == 1
    assert sorted(doorbell.rung) == sorted(one.job.id for one in accepted)


async def test_one_that_cannot_be_stored_does_not_fail_its_neighbours(catalog: Catalog) -> None:
    desk, _, doorbell = submissions(catalog)
    prompts = ["a", "poison", "b"]
    outcomes = await asyncio.gather(
        *(desk.submit(asked(prompt=prompt), owner="", idempotency_key=None) for prompt in prompts),
        return_exceptions=True,
    )
    assert [isinstance(one, DataError) for one in outcomes] == [False, True, False]
    assert len(doorbell.rung) == 2


class ForgetfulDatabase(FussyDatabase):
    """Knows every key already, and does not find the job that has it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()

    async def fetch(self, statement: Any, *, seconds: float = 1) -> list[Row]:
        if "rows" not in statement.compile().params:
            self.is_asked.set()
            await asyncio.Event().wait()
        return [row for row in await super().fetch(statement) if row["id"] not in self.taken(statement)]

    @staticmethod
    def taken(statement: Any) -> set[UUID]:
        return {UUID(row["id"]) for row in statement.compile().params["rows"] if row["idempotency_key"]}


async def test_nobody_waits_while_the_job_of_a_repeated_key_is_looked_for(catalog: Catalog) -> None:
    database = ForgetfulDatabase()
    backlog = Backlog(database, 10, places=10)
    desk = Submissions(database, lambda: catalog, dict, SilentDoorbell(), backlog, timedelta(seconds=5))
    repeated = asyncio.create_task(desk.submit(asked(), owner="", idempotency_key="again"))
    async with asyncio.timeout(60):
        await asyncio.gather(*(desk.submit(asked(), owner="", idempotency_key=None) for _ in range(3)))
        await database.is_asked.wait()
        await desk.submit(asked(), owner="", idempotency_key=None)
    repeated.cancel()


async def test_past_the_limit_submissions_are_refused_before_they_cost_anything(catalog: Catalog) -> None:
    desk, database, _ = submissions(catalog, limit=2)
    for _ in range(2):
        await desk.submit(asked(), owner="", idempotency_key=None)
    with pytest.raises(Busy) as refusal:
        await desk.submit(asked(), owner="", idempotency_key=None)
    assert refusal.value.retry_after_seconds
    assert database.statements == 2
