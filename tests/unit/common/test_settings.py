import pytest
from redis.connection import parse_url

from common.database.connect import connect, driver_url
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
        ("REDIS_URL", "unix://:hunter2@/run/valkey.sock"),
        ("REDIS_URL", "redis://:hunter2@broker:abc/0"),
        ("REDIS_URL", "redis://:hunter2/x@broker:6379/0"),
        ("REDIS_URL", "redis://:hunter2@broker:65536/0"),
        ("REDIS_URL", "redis://:hunter2@broker:6379/first"),
        ("REDIS_URL", "redis://:hunter2@[::1/0"),
        ("DATABASE_URL", "postgresql"),
        ("DATABASE_URL", "postgresql://u:hunter2@db:abc/x"),
        ("DATABASE_URL", "postgresql://u:hunter2@db:/x"),
        ("DATABASE_URL", "postgresql://u:hunter2@db:99999/x"),
        ("DATABASE_URL", "postgresql://u:hunter2@one:1,two:2/x"),
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


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ultra@127.0.0.1:5432/ultra",
        "postgres://u:s/ec@ret@db/x",
        "postgresql://u:hun/ter2@db:5432/x?sslmode=require",
        "postgresql+psycopg://u:p@[::1]:5432/x",
        "postgresql://u:p@/ultra?host=%2Frun%2Fpostgres%3A1",
        "postgresql:///ultra",
    ],
)
def test_a_database_is_reached_by_any_url_that_sqlalchemy_reads(url: str) -> None:
    assert Settings(database_url=url).database_url.get_secret_value() == url
    assert driver_url(url).drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "url", ["redis://broker", "redis://broker/", "rediss://u:p%2F@broker:6380/1", "redis://[::1]:6379/0?protocol=3"]
)
def test_a_broker_is_reached_by_any_url_that_its_client_reads(url: str) -> None:
    assert Settings(redis_url=url).redis_url.get_secret_value() == url
    assert parse_url(url)


def test_an_error_of_the_database_does_not_show_what_was_asked() -> None:
    engine = connect("postgresql://u@db/x").sync_engine
    assert engine.hide_parameters


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
