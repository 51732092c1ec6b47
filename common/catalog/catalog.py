"""The catalog: every name a model goes by."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property

from pydantic import ValidationError

from common.catalog.entry import ModelEntry, ModelServer
from common.errors import ModelNotFound

# Their servers take any name, so `docker_modelrunner-phi3:mini` needs no entry of its own.
AD_HOC_PROVIDERS = ("docker_modelrunner", "ollama", "mock")

NEAREST_NAMES = 5


class Catalog:
    """Immutable. A changed file makes a new catalog."""

    def __init__(
        self,
        entries: Mapping[str, ModelEntry],
        aliases: Mapping[str, str],
        default_models: Sequence[str] = (),
        default_lead: str | None = None,
        servers: Mapping[str, ModelServer] | None = None,
    ) -> None:
        """`aliases` maps each alias to an id; every id named must be one that `resolve` knows."""
        self.entries = dict(entries)
        self.servers = dict(servers or {})
        self.default_models = tuple(default_models)
        self.default_lead = default_lead
        self._ids = dict(aliases)

    def resolve(self, name: str) -> ModelEntry:
        """The entry of an id or an alias. A known provider's model needs no entry in the file.

        Raises:
            ModelNotFound: lists the nearest names.
        """
        entry = self.entries.get(name) or self._entry_of_alias(name) or ad_hoc_entry(name)
        if entry is None:
            raise ModelNotFound(name, self._nearest(name))
        return entry

    def aliases_of(self, model_id: str) -> tuple[str, ...]:
        """Every other name of this id, from the file and from MODEL_MAPPING, sorted."""
        return tuple(sorted(alias for alias, target in self._ids.items() if target == model_id))

    def _entry_of_alias(self, name: str) -> ModelEntry | None:
        target = self._ids.get(name)
        if target is None:
            return None
        return self.entries.get(target) or ad_hoc_entry(target)

    def _nearest(self, name: str) -> list[str]:
        lowered = get_close_matches(name.lower(), self._names, n=NEAREST_NAMES, cutoff=0.5)
        return [self._names[match] for match in lowered]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {name.lower(): name for name in (*self.entries, *self._ids)}


def ad_hoc_entry(model_id: str) -> ModelEntry | None:
    """An entry for an id that no file lists, or None where its provider needs to be told more."""
    provider, _, name = model_id.partition("-")
    if provider not in AD_HOC_PROVIDERS or not name:
        return None
    try:
        return ModelEntry.model_validate({"id": model_id})
    except ValidationError:
        return None
