"""Models in containers by the names that callers give them."""

from difflib import get_close_matches

from common.catalog.catalog import NEAREST_NAMES, Catalog
from common.catalog.local import LocalModel
from common.errors import InvalidInput, ModelNotFound

PREFIX = "local-"


def container_model(catalog: Catalog, name: str, *, field: str | None = "model_id") -> LocalModel:
    """The entry of an id, an alias, or a name without `local-`.

    Raises:
        ModelNotFound: lists the nearest names of such models.
        InvalidInput: it runs elsewhere. Where `field` is None that is no such model either.
    """
    entry = catalog.entries.get(PREFIX + name)
    if entry is None:
        try:
            entry = catalog.resolve(name)
        except ModelNotFound:
            raise ModelNotFound(name, _nearest(catalog, name)) from None
    if isinstance(entry, LocalModel):
        return entry
    if field is None:
        raise ModelNotFound(name, _nearest(catalog, name))
    raise InvalidInput(f"{entry.id} runs in no container of ours: `GET /models` lists those that do.", field=field)


def container_models(catalog: Catalog) -> list[LocalModel]:
    """The registry, in the order of the file."""
    return [entry for entry in catalog.entries.values() if isinstance(entry, LocalModel)]


def _nearest(catalog: Catalog, name: str) -> list[str]:
    names = {
        known.removeprefix(PREFIX): entry.id
        for entry in container_models(catalog)
        for known in (entry.id, *catalog.aliases_of(entry.id))
    }
    near = get_close_matches(name.removeprefix(PREFIX), names, NEAREST_NAMES, 0.5)
    return list(dict.fromkeys(names[one] for one in near))
