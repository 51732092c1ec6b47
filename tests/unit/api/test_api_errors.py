import inspect

import pytest

import common.errors
from api.errors import STATUSES, from_app_error, from_validation
from api.problems import MEDIA_TYPE
from common.errors import (
    AppError,
    Busy,
    DependencyDown,
    Forbidden,
    IdempotencyConflict,
    InstanceGone,
    InvalidInput,
    JobNotFound,
    ModelNotFound,
    ProviderError,
    Unauthenticated,
    UnknownAnalysisType,
)
from tests.unit.api.apps import client, raising

EVERY_ERROR = [one for _, one in inspect.getmembers(common.errors, inspect.isclass) if issubclass(one, AppError)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("wrong", field="x"), 422),
        (UnknownAnalysisType("x", ["a"]), 422),
        (IdempotencyConflict(), 409),
        (Unauthenticated(), 401),
        (Forbidden(), 403),
        (JobNotFound(), 404),
        (ModelNotFound("gpt5", ["gpt4"]), 404),
        (Busy(), 429),
        (DependencyDown(), 503),
        (InstanceGone(), 503),
        (ProviderError(), 502),
        (AppError(), 500),
    ],
)
async def test_each_error_has_its_status_and_is_a_problem_document(error: AppError, status: int) -> None:
    async with client(raising(error)) as http:
        response = await http.get("/")
    assert response.status_code == status
    assert response.headers["content-type"] == MEDIA_TYPE
    document = response.json()
    assert document["status"] == status
    assert document["code"] == error.code
    assert document["type"] == f"urn:ultrallm:problem:{error.code}"
    assert document["detail"] == error.message


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_every_error_of_the_tree_has_a_status(error: type[AppError]) -> None:
    assert any(kind in STATUSES for kind in error.__mro__)


@pytest.mark.parametrize("error", [Busy(), DependencyDown(), InstanceGone(), Busy(retry_after_seconds=0.2)])
def test_busy_and_down_say_when_to_come_back_in_whole_seconds(error: AppError) -> None:
    assert int(from_app_error(error).headers["retry-after"]) >= 1


def test_a_missing_key_is_told_how_to_be_sent() -> None:
    assert from_app_error(Unauthenticated()).headers["www-authenticate"].startswith("Bearer")


def test_wrong_fields_are_named_but_never_shown() -> None:
    faults = [
        {"loc": ("body", "options", "temperature"), "msg": "Input should be less than 2", "input": "secret"},
        {"loc": ("query", "limit"), "msg": "Value error, must be small", "input": "secret"},
        {"loc": (), "msg": "Invalid JSON", "input": "secret"},
    ]
    body = bytes(from_validation(faults).body)
    assert b"secret" not in body
    for field in (b'"options.temperature"', b'"limit"', b'"body"', b'"must be small"', b"(2 more)"):
        assert field in body


def test_a_body_that_is_wrong_everywhere_makes_no_large_answer() -> None:
    faults = [{"loc": ("body", "x" * 10_000), "msg": "unknown"} for _ in range(10_000)]
    assert len(bytes(from_validation(faults).body)) < 10_000


async def test_unknown_paths_and_methods_are_problems_too() -> None:
    async with client(raising(AppError())) as http:
        missing, wrong_method = await http.get("/nope"), await http.post("/")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "GET"
