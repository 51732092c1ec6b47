"""Catalogs from a few lines of YAML."""

from pathlib import Path
from textwrap import dedent
from typing import Any

from common.catalog.catalog import Catalog
from common.catalog.load import load_catalog
from common.settings import Settings

MODEST = """\
    defaults:
      models: [mock-a]
    models:
      mock-a:
"""


def settings(**given: Any) -> Settings:
    """Settings that do not depend on a `.env` beside the tests."""
    return Settings(_env_file=None, **given)


def write(folder: Path, text: str) -> Path:
    path = folder / "models.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def catalog(folder: Path, text: str = MODEST, **given: Any) -> Catalog:
    return load_catalog(settings(ultra_models_path=write(folder, text), **given))
