"""The statements about API keys, and how a key becomes a digest."""

import hashlib
import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, Select, Update, func, insert, select, update

from common.database.tables import api_keys

SCOPES = ("submit", "read", "lifecycle", "admin")


def generate() -> str:
    """A new key: 256 random bits behind a prefix that secret scanners can recognise."""
    return f"ultra_{secrets.token_urlsafe(32)}"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def create(key_id: UUID, name: str, key: str, scopes: list[str]) -> Insert:
    """Store a key's digest; the key itself is shown once, to its maker."""
    return insert(api_keys).values(id=key_id, name=name, digest=digest(key), prefix=key[:12], scopes=scopes)


def find(key: str) -> Select[Any]:
    """`(id, name, scopes)` of a live key."""
    return select(api_keys.c.id, api_keys.c.name, api_keys.c.scopes).where(
        api_keys.c.digest == digest(key), api_keys.c.revoked_at.is_(None)
    )


def listing() -> Select[Any]:
    """Every key, newest first; never its digest."""
    shown = ("id", "name", "prefix", "scopes", "created_at", "revoked_at")
    return select(*(api_keys.c[name] for name in shown)).order_by(api_keys.c.id.desc())


def count_live() -> Select[Any]:
    return select(func.count()).select_from(api_keys).where(api_keys.c.revoked_at.is_(None))


def revoke(key_id: UUID) -> Update:
    """No row if there is no such live key."""
    return (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(api_keys.c.id)
    )
