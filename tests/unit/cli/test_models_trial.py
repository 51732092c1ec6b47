import pytest

from cli.checks.finding import worst
from cli.checks.next_steps import next_step
from cli.trial import Trial, examine
from common.catalog.load import load_catalog
from common.contracts.calls import Usage
from common.errors import AppError, NotServed, RateLimited, Unavailable, UpstreamModelMissing
from common.settings import Settings


async def test_a_model_is_asked_straight_through_its_adapter() -> None:
    settings = Settings(_env_file=None)
    report = await examine(settings, load_catalog(settings), ["mock-a", "mock-error"], generate=True)
    [trial] = report.trials
    assert (trial.model, trial.usage.completion_tokens if trial.usage else None) == ("mock-a", 32)
    assert [(finding.name, finding.status) for finding in report.findings] == [
        ("mock", "ok"),
        ("mock-a", "ok"),
        ("mock-error", "fail"),
    ]
    assert worst(report.findings) == "fail"


async def test_a_keyless_provider_names_its_key() -> None:
    settings = Settings(_env_file=None, openai_api_key=None, use_mock=True)
    [finding] = (await examine(settings, load_catalog(settings), ["gpt4o"], generate=True)).findings
    assert (finding.name, finding.status) == ("openai", "fail")
    assert "OPENAI_API_KEY" in finding.detail


def test_the_speed_is_known_where_the_server_counts() -> None:
    assert Trial("m", "Yes.", 2.0, Usage(completion_tokens=10)).tokens_per_second == 5
    assert Trial("m", "Yes.", 2.0, None).tokens_per_second is None


@pytest.mark.parametrize(
    ("provider", "url", "error", "step"),
    [
        ("docker_modelrunner", "http://here:8080/v1", Unavailable(), "MODEL_RUNNER_URL is http://here:8080/v1"),
        ("docker_modelrunner", "http://here:8080/v1", Unavailable(), "docker compose logs model-runner"),
        ("docker_modelrunner", "http://here/v1", UpstreamModelMissing(), "ultra models pull the-model"),
        ("docker_modelrunner", "http://here/v1", NotServed(), "setting"),
        ("docker_modelrunner", None, NotServed(), "docker model status"),
        ("ollama", "http://here", Unavailable(), "ollama serve"),
        ("openai", "http://here", RateLimited(), "ultra doctor"),
    ],
)
def test_a_failure_comes_with_what_to_do(provider: str, url: str | None, error: AppError, step: str) -> None:
    assert step in next_step(provider, url, error, "the-model")
