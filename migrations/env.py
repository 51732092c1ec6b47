"""Alembic's entry point: one process migrates at a time, whoever comes second waits and finds it done."""

from alembic import context
from sqlalchemy import create_engine, text

from common.database.connect import driver_url
from common.database.tables import metadata
from common.settings import load_settings

# Any number that nobody else uses: 'ultr' in ASCII.
MIGRATION_LOCK = 0x756C7472


def migrate() -> None:
    url = driver_url(load_settings().database_url.get_secret_value())
    engine = create_engine(url, connect_args={"connect_timeout": 10})
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


migrate()
