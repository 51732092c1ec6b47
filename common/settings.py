"""Settings from the environment and `.env`. A wrong value stops the start with one line that names it.

Read once, by `load_settings()`, where a process is put together; everything else is handed what it needs.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from common.errors import ConfigError


def _without_slash(value: str) -> str:
    TypeAdapter(HttpUrl).validate_python(value)
    return value.rstrip("/")


def header_safe(key: SecretStr) -> SecretStr:
    """The key without the line break that files and pastes leave at its end.

    Raises:
        ValueError: it cannot stand in a header. Said here, as HTTP libraries would quote it.
    """
    text = key.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII, and something")
    return SecretStr(text)


# The port as SQLAlchemy finds it, whose passwords may have slashes: group 1, if there is one.
_POSTGRES = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]+)?(?::([^/?]*))?")


def _check_port(port: str | None) -> None:
    """Said here, without the URL: whoever connects would say it in a traceback, password and all."""
    if port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) <= 65535):  # noqa: PLR2004
        raise ValueError("its port must be a number from 1 to 65535")


HttpBase = Annotated[str, AfterValidator(_without_slash)]
ApiKey = Annotated[SecretStr, AfterValidator(header_safe)]


class Settings(BaseSettings):
    """Names of the specifications are kept; ours begin with ULTRA_."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    # where things are
    database_url: SecretStr = Field(
        SecretStr("postgresql://ultra@127.0.0.1:5432/ultra"), description="postgresql://user:password@host/db"
    )
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="redis:// or rediss://")

    # the door
    ultra_host: str = Field("127.0.0.1", description="The address the API is reached at; not loopback needs keys.")
    ultra_port: int = Field(8000, ge=0, le=65535)
    ultra_insecure: bool = Field(False, description="Serve beyond loopback without keys.")
    ultra_auth: Literal["auto", "required"] = Field(
        "auto", description="auto asks for keys beyond loopback only; required asks always."
    )
    ultra_allowed_hosts: str = Field(
        "",
        description="Names the API is reached by besides localhost, comma separated; checked where no key is needed.",
    )
    ultra_max_queued_jobs: int = Field(20_000, ge=1, description="Past it a submission is answered 429.")
    ultra_jobs_at_once_per_key: int = Field(
        500, ge=1, le=1_000_000, description="Jobs of one key that are at work; the others wait their turn."
    )
    ultra_chat_body_mib: int = Field(1, ge=1, le=256, description="The largest body under /v1, images and all.")
    ultra_heartbeat_seconds: float = Field(
        5.0, ge=0.05, le=600, description="A stream under /v1 is silent for so long at most."
    )
    ultra_stuck_client_seconds: float = Field(
        60.0, ge=0.1, le=3600, description="A client that leaves a stream unread for so long is cut off."
    )

    # the engine
    ultra_lease_seconds: float = Field(
        15.0, ge=1, le=600, description="A silent worker's calls are rescued after this."
    )
    ultra_sweep_seconds: float = Field(1.0, ge=0.05, le=60)
    ultra_publish_grace_seconds: float = Field(
        10.0, ge=0.1, le=600, description="A doorbell not answered for this long is rung again."
    )
    ultra_max_attempts: int = Field(
        3, ge=1, le=20, description="Attempts of one call at one model, before its fallbacks are asked or it fails."
    )
    ultra_drain_seconds: float = Field(5.0, ge=0, le=3600, description="How long a stopping worker lets calls finish.")
    ultra_call_timeout_seconds: float = Field(120.0, gt=0, le=3600, description="Deadline of a cloud call.")
    ultra_canary_seconds: float = Field(
        30.0, ge=1, le=3600, description="A worker that could consume and did not for so long ends, to be replaced."
    )
    ultra_retention_days: float = Field(
        30.0, ge=0, le=36_500, description="How long a finished job is kept; 0 keeps it for ever."
    )

    ultra_task_events: bool = Field(False, description="Workers report each task, for Flower.")
    ultra_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otel_exporter_otlp_endpoint: HttpBase | None = Field(
        None, description="An OpenTelemetry collector (HTTP, mostly port 4318) for traces and metrics; off if left out."
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="What the collector wants to be told: name=value, comma separated."
    )

    # models
    use_mock: bool = Field(False, description="Answer every model by the mock provider.")
    enable_model_runner: bool = True
    model_runner_type: Literal["api", "cli"] = Field(
        "api", description="api speaks HTTP to MODEL_RUNNER_URL; cli runs `docker model`."
    )
    model_runner_url: str = Field("http://127.0.0.1:12434/engines/llama.cpp/v1")
    default_local_model: str | None = Field(
        None, description="Answers in a cloud model's place; the catalog's first local default model if left out."
    )
    available_local_models: str = Field("", description="Models of the Model Runner, comma separated.")
    use_local_models_when_offline: bool = Field(
        True, description="Send cloud models' calls to local models while no cloud can be reached."
    )
    ultra_prefer: Literal["none", "local", "cloud"] = Field(
        "none", description="Which side of a model's fallback chain is asked first."
    )
    model_mapping: dict[str, str] = Field(default_factory=dict, description='JSON: {"alias": "model id"}')
    local_model_timeout: int = Field(60_000, ge=1, le=3_600_000, description="Milliseconds.")
    ultra_models_path: Path | None = Field(None, description="Another config/models.yaml.")
    analysis_patterns_path: Path | None = Field(None, description="Another config/analysis_patterns.json.")

    # models in containers
    docker_host: str | None = Field(
        None, description="unix://PATH or tcp://HOST:PORT; Docker's own socket if left out."
    )
    ultra_node: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="Name of this machine; its host name if left out."
    )
    ultra_model_memory_mib: int | None = Field(
        None, ge=64, le=67_108_864, description="What models may take of this machine together; 80 % if left out."
    )
    ultra_model_reach: Literal["auto", "name", "address", "published"] = Field(
        "auto", description="How models' containers are reached: by name, by address, or by a port on loopback."
    )
    ultra_model_network: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="The network they join; one of our own if left out."
    )
    ultra_weights_path: Path | None = Field(None, description="The folder of models' weights.")
    ultra_weights_volume: str = Field(
        "",
        pattern=r"^(/.*|[A-Za-z0-9._-]*)$",
        max_length=1000,
        description="What Docker calls that folder: a volume, or another path; the same path if left out.",
    )
    ultra_reconcile_seconds: float = Field(
        5.0, ge=0.1, le=300, description="How often models are looked after without any news."
    )

    # GPUs
    gpu_enabled: Literal["auto", "true", "false"] = Field(
        "auto", description="auto uses the GPUs that NVML finds; true wants one; false looks for none."
    )
    cuda_visible_devices: str | None = Field(
        None, description="The GPUs that are ours, by nvidia-smi's numbers or by UUID; all if left out."
    )

    # providers
    openai_api_key: ApiKey | None = None
    openai_base_url: HttpBase = "https://api.openai.com/v1"
    anthropic_api_key: ApiKey | None = None
    anthropic_base_url: HttpBase = "https://api.anthropic.com"
    google_api_key: ApiKey | None = None
    google_base_url: HttpBase = "https://generativelanguage.googleapis.com"
    ollama_base_url: HttpBase = "http://127.0.0.1:11434"
    llm_provider: Literal["local", "claude"] = Field(
        "local", description="Who answers as `ivy-orchestrator`: Ollama's OLLAMA_MODEL, or the catalog's `claude`."
    )
    ollama_model: str = Field("llama3.1", min_length=1, max_length=190)
    knowledge_agent_url: HttpBase | None = Field(
        None, description="Asked for documents before `ivy-orchestrator` answers."
    )
    http_proxy: str | None = Field(None, description="For http:// servers; never for loopback.")
    https_proxy: str | None = Field(None, description="For https:// servers.")
    no_proxy: str = Field("", description="Hosts reached without a proxy, comma separated.")

    # errors, retries, cache
    ultra_job_retry_budget: int = Field(20, ge=0, le=1000, description="Retries of one job, all its calls together.")
    ultra_circuit_failures: int = Field(5, ge=1, le=1000, description="Failures in a row that open a circuit.")
    ultra_circuit_open_seconds: float = Field(
        15.0, ge=0.1, le=3600, description="How long before an open circuit is probed."
    )
    ultra_cache_ttl_seconds: int = Field(3600, ge=1, le=2_592_000, description="How long an answer may be reused.")

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        found = _POSTGRES.match(url)
        if found is None or url.split("://", 1)[0] not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must begin with postgresql://")
        _check_port(found[1])
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError("must begin with redis:// or rediss://")
        try:
            parts = urlsplit(url)
            _check_port(None if parts.port is None else str(parts.port))
        except ValueError:
            raise ValueError(
                "its port must be a number from 1 to 65535; / ? # [ ] in a password are written %2F %3F %23 %5B %5D"
            ) from None
        if not re.fullmatch(r"/?|/[0-9]{1,9}", parts.path):
            raise ValueError("after its host there is a database's number, or nothing")
        return value

    @field_validator("model_runner_url")
    @classmethod
    def _http(cls, value: str) -> str:
        url = TypeAdapter(HttpUrl).validate_python(value)
        # The specification gives the bare server; the API lies below a path that differs from server to server.
        return value.rstrip("/") + ("/v1" if url.path in (None, "/") else "")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the API."""
        return self.ultra_host in {"localhost", "::1"} or self.ultra_host.startswith("127.")


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The process's settings, read on first use.

    Raises:
        ConfigError: a value is wrong; the message names the variable and the fault, never a secret.
    """
    try:
        return Settings()
    except SettingsError as error:
        # raised before validation, where the text of a JSON variable is no JSON; it names the field
        name = str(error).split('"')[1].upper() if '"' in str(error) else "a variable"
        raise ConfigError(f"Wrong setting: {name}: must be JSON") from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(f"Wrong setting: {faults}") from None
