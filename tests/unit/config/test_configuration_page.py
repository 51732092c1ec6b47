"""docs/configuration.md keeps pace with common/settings.py."""

import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", PAGE.read_text(), flags=re.MULTILINE))
# Read by the client side alone.
CLIENT = {"ULTRA_URL", "ULTRA_API_KEY", "NO_COLOR"}


def test_the_page_names_every_setting_and_no_other() -> None:
    assert set(ROWS) - CLIENT == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_page_shows_the_default(name: str) -> None:
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    assert ROWS[name.upper()] == _shown(default)


def _shown(default: object) -> str:
    if default in (None, ""):
        return "empty"
    if isinstance(default, SecretStr):
        return f"`{default.get_secret_value()}`"
    if isinstance(default, bool | dict):
        return f"`{json.dumps(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
