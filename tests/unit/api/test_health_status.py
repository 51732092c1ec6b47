import pytest

from api.health import circuit_checks, config_check, status_of
from common.contracts.health import Check, Checks, HealthStatus

UP, DOWN = Check(status="up"), Check(status="down")
ALL = {"control": 1, "cloud": 2, "local": 1}


@pytest.mark.parametrize(
    ("database", "broker", "workers", "status"),
    [
        (UP, UP, ALL, "healthy"),
        (UP, DOWN, ALL, "degraded"),
        (UP, UP, ALL | {"local": 0}, "degraded"),
        (UP, UP, {}, "degraded"),
        (DOWN, UP, ALL, "unavailable"),
        (DOWN, DOWN, {}, "unavailable"),
    ],
)
def test_only_the_database_is_needed_to_take_work_and_the_rest_to_do_it(
    database: Check, broker: Check, workers: dict[str, int], status: HealthStatus
) -> None:
    assert status_of(Checks(database=database, broker=broker, workers=workers, providers={"mock": DOWN})) == status


def test_a_broken_edit_is_told_and_keeps_nobody_from_working() -> None:
    broken = config_check(["models.yaml:3: models.mock-b: no such field", "patterns.json:1: expecting value"])
    assert broken.status == "down"
    assert "models.yaml:3: models.mock-b: no such field; patterns.json:1: expecting value" in (broken.detail or "")
    assert status_of(Checks(database=UP, broker=UP, workers=ALL, providers={}, config=broken)) == "healthy"
    assert config_check([]) == UP


def test_models_that_are_left_alone_are_named_with_their_provider() -> None:
    checks = circuit_checks(["openai/gpt-4o", "openai/org/gpt-oss", "vllm/a/b:c"])
    assert checks.keys() == {"openai", "vllm"}
    assert checks["openai"].status == "down"
    assert "gpt-4o, org/gpt-oss" in (checks["openai"].detail or "")
    assert "a/b:c" in (checks["vllm"].detail or "")
    assert circuit_checks([]) == {}
    [many] = circuit_checks([f"ollama/made-up-{number}" for number in range(500)]).values()
    assert (many.detail or "").endswith("made-up-9 and 490 more.")
