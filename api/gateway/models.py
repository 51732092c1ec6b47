"""`/v1/models`: the catalog, as OpenAI lists models. No server is asked."""

import time
from typing import Any

import orjson

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry

# OpenAI says when a model was made. We know when we began to offer it, give or take a restart.
_SINCE = int(time.time())


def listed(catalog: Catalog) -> bytes:
    """Every model of the catalog."""
    return orjson.dumps({"object": "list", "data": [_model(entry) for entry in catalog.entries.values()]})


def retrieved(catalog: Catalog, name: str) -> bytes:
    """One model, by its id or an alias.

    Raises:
        ModelNotFound: lists the nearest names.
    """
    return orjson.dumps(_model(catalog.resolve(name)))


def _model(entry: ModelEntry) -> dict[str, Any]:
    return {"id": entry.id, "object": "model", "created": _SINCE, "owned_by": entry.provider}
