"""`/v1/models`: the catalog, as OpenAI lists models. No server is asked."""

import time
from typing import Any

import orjson

from api.gateway.virtual import OWNERS
from common.catalog.catalog import Catalog

# OpenAI says when a model was made. We know when we began to offer it, give or take a restart.
_SINCE = int(time.time())


def listed(catalog: Catalog) -> bytes:
    """Every model of the catalog, and those that are made of others."""
    offered = [_model(entry.id, entry.provider) for entry in catalog.entries.values()]
    offered += [_model(name, owner) for name, owner in OWNERS.items()]
    return orjson.dumps({"object": "list", "data": offered})


def retrieved(catalog: Catalog, name: str) -> bytes:
    """One model, by its id or an alias.

    Raises:
        ModelNotFound: lists the nearest names.
    """
    if name in OWNERS:
        return orjson.dumps(_model(name, OWNERS[name]))
    entry = catalog.resolve(name)
    return orjson.dumps(_model(entry.id, entry.provider))


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _SINCE, "owned_by": owner}
