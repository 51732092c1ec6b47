"""Postgres: does it answer, and has it the shape that this version expects?"""

from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.checks.finding import Finding, fail, ok
from common.database.connect import connect

NAME = "database"


async def database(url: str) -> list[Finding]:
    """Whether it can be reached, and whether it is migrated."""
    try:
        engine = connect(url, pool_size=1)
    except (ArgumentError, ValueError):
        return [fail(NAME, "DATABASE_URL is no URL", "postgresql://user:password@host:5432/database")]
    where = engine.url.render_as_string(hide_password=True)
    try:
        async with engine.connect() as connection:
            server = (await connection.execute(text("SHOW server_version"))).scalar_one()
            return [ok(NAME, f"PostgreSQL {server} at {where}"), await _shape(connection)]
    except (DBAPIError, OSError) as error:
        return [fail(NAME, f"{where}: {_first_line(error)}", "start it, or correct DATABASE_URL")]
    finally:
        await engine.dispose()


async def _shape(connection: AsyncConnection) -> Finding:
    from alembic.script import ScriptDirectory

    from common.database.migrate import alembic_config

    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    try:
        found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    except ProgrammingError:
        found = None
    if found == newest:
        return ok("migrations", f"at the newest revision, {newest}")
    return fail("migrations", f"at {found or 'none'}, this version needs {newest}", "run `ultra migrate`")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
