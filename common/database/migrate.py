"""Bringing a database to the shape of `tables.py`."""

from pathlib import Path

from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def alembic_config() -> Config:
    """The configuration, in code: there is nothing in it to set."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def upgrade() -> None:
    """Migrate the database of the settings to the newest revision. Safe to run from many places at once."""
    command.upgrade(alembic_config(), "head")


def revision(message: str) -> None:
    """Write a new migration from the difference between the database and `tables.py`."""
    command.revision(alembic_config(), message=message, autogenerate=True)
