"""Connections to Postgres: one async pool a process."""

from typing import Any

import orjson
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def driver_url(database_url: str) -> URL:
    """The URL with our driver in it, whatever spelling of postgres the user gave."""
    return make_url(database_url).set(drivername="postgresql+psycopg")


# Of the session, on the server.
_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "statement_timeout=30s",
        "lock_timeout=10s",
        "idle_in_transaction_session_timeout=20s",
        "tcp_keepalives_idle=5",
        "tcp_keepalives_interval=2",
        "tcp_keepalives_count=3",
        "tcp_user_timeout=10s",
    )
)


def connect(database_url: str, *, pool_size: int = 5) -> AsyncEngine:
    """A lazy pool of at most `pool_size` connections; nothing is opened until the first statement.

    A statement runs 30 s at most and waits 10 s at most for a lock or a connection. TCP keepalives
    find a peer that vanished without a word within about 10 s, on our side and on the server's: a lock that a
    vanished worker holds, the sweep's above all, would stop everybody for the two hours of the system's default.
    """
    return create_async_engine(
        driver_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=1800,
        # Each statement of ours is whole in itself; the few transactions of two ask for one.
        isolation_level="AUTOCOMMIT",
        json_serializer=_dump,
        json_deserializer=orjson.loads,
        # An error is logged with the statement. Its parameters are what people asked and were answered.
        hide_parameters=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": "ultrallm",
            "options": _OPTIONS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            # prepare at first use: the hot statements are few
            "prepare_threshold": 0,
        },
    )


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()
