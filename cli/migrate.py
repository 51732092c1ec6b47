"""`ultra migrate`."""


def migrate() -> None:
    """Bring the database of DATABASE_URL to the newest shape. Safe to run twice, or from two places at once."""
    from common.database.migrate import upgrade

    upgrade()
    print("database is up to date")
