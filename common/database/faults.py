"""Whose fault it is that a statement failed."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

PROGRAM_LIMIT_EXCEEDED = "54"  # the class: more than fits into one document, one row, one index entry


def is_of_a_row(error: Exception) -> bool:
    """Whether the statement failed for what its rows hold: it did not happen, and with these rows never will.

    False for whatever time may heal: Postgres is away, busy, or ended the statement.
    """
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return isinstance(error, DataError | IntegrityError) or state.startswith(PROGRAM_LIMIT_EXCEEDED)
    # Else it was not even sent: no JSON could be made of it.
    return isinstance(error, StatementError) or not isinstance(error, SQLAlchemyError | OSError)
