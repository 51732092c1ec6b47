"""config/env.example keeps pace with common/settings.py."""

import re
from pathlib import Path

import pytest

from common.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "config" / "env.example"
SETTINGS = [name.upper() for name in Settings.model_fields]
# Their defaults are "none"; the example shows what one could look like.
ILLUSTRATED = {
    "MODEL_MAPPING",
    "ULTRA_MODELS_PATH",
    "DEFAULT_LOCAL_MODEL",
    "ANALYSIS_PATTERNS_PATH",
    "KNOWLEDGE_AGENT_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
}


def test_the_example_names_every_setting_in_the_order_of_the_settings() -> None:
    named = re.findall(r"^#([A-Z_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE)

    assert [name for name in named if name in SETTINGS] == SETTINGS


def test_the_example_shows_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    env_file = tmp_path / "env"
    env_file.write_text(re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE))

    shown, default = Settings(_env_file=env_file), Settings(_env_file=None)

    ignored = {name.lower() for name in ILLUSTRATED}
    assert shown.model_dump(exclude=ignored) == default.model_dump(exclude=ignored)
