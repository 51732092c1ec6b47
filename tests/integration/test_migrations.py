import os
import subprocess
import sys

CHECK = """
from alembic import command
from common.database.migrate import alembic_config
config = alembic_config()
command.check(config)
command.downgrade(config, "base")
command.upgrade(config, "head")
command.check(config)
"""


def test_migrations_lead_to_the_tables_and_back(postgres_url: str) -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-c", CHECK],
        env={**os.environ, "DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("No new upgrade operations detected.") == 2
