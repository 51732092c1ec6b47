import pytest

from common.errors import ConfigError
from common.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    load_settings.cache_clear()
    monkeypatch.chdir(str(tmp_path))  # no .env of the developer's


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://model-runner:8080", "http://model-runner:8080/v1"),
        ("http://model-runner:8080/", "http://model-runner:8080/v1"),
        ("http://localhost:12434/engines/llama.cpp/v1/", "http://localhost:12434/engines/llama.cpp/v1"),
    ],
)
def test_a_bare_model_runner_is_asked_below_v1(given: str, used: str) -> None:
    assert Settings(model_runner_url=given).model_runner_url == used


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ULTRA_PORT", "high"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("REDIS_URL", "amqp://guest:hunter2@mq"),
        ("MODEL_MAPPING", '{"a": '),
        ("MODEL_RUNNER_URL", "model-runner"),
        ("OPENAI_API_KEY", "hunter2\u2019s"),
        ("ANTHROPIC_API_KEY", "hunter2\nx-injected: yes"),
        ("GOOGLE_BASE_URL", "generativelanguage"),
    ],
)
def test_a_wrong_value_is_named_in_one_line_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert name in raised.value.message
    assert "\n" not in raised.value.message
    assert "hunter2" not in raised.value.message


def test_a_key_loses_the_line_break_that_a_file_leaves_at_its_end() -> None:
    key = Settings(openai_api_key="sk-1\n").openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-1"


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(Settings(database_url="postgresql://u:hunter2@db/x"))


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)],  # noqa: S104
)
def test_loopback_is_recognised(host: str, is_loopback: bool) -> None:
    assert Settings(ultra_host=host).is_loopback is is_loopback
