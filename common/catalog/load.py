"""Read `config/models.yaml` and MODEL_MAPPING into a catalog, or say what is wrong and where."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.catalog.catalog import AD_HOC_PROVIDERS, Catalog, ad_hoc_entry
from common.catalog.entry import NAME_PATTERN, PROVIDERS, ModelEntry, ModelServer
from common.catalog.local import LocalModel
from common.catalog.source import Place, Source, read_yaml
from common.errors import ConfigError, ModelNotFound
from common.settings import Settings

# Beside the packages, in a checkout as in the image.
SHIPPED_PATH = Path(__file__).resolve().parents[2] / "config" / "models.yaml"


class Defaults(BaseModel):
    """What is asked when a request names no model."""

    model_config = ConfigDict(extra="forbid")

    models: list[str] = Field(min_length=1)
    lead: str | None = None


class ModelsFile(BaseModel):
    """The file's top level. Entries are validated one by one, where their id is known."""

    model_config = ConfigDict(extra="forbid")

    defaults: Defaults
    servers: dict[str, ModelServer] = Field(default_factory=dict)
    models: dict[str, dict[str, Any] | None] = Field(min_length=1)


def load_catalog(settings: Settings) -> Catalog:
    """The catalog that these settings describe.

    Raises:
        ConfigError: one line that names the file, the line and the field, or MODEL_MAPPING's alias.
    """
    source = read_yaml(settings.ultra_models_path or SHIPPED_PATH)
    file = _validated(source)
    _check_server_names(source, file.servers)
    entries = {
        model_id: _entry(source, model_id, fields or {}, file.servers) for model_id, fields in file.models.items()
    }
    entries |= _listed_entries(settings.available_local_models, entries)
    aliases = _file_aliases(source, entries) | _mapped_aliases(settings.model_mapping, entries)
    names = Catalog(entries, aliases)
    entries = {model_id: _with_fallback_ids(source, entry, names) for model_id, entry in entries.items()}
    return Catalog(entries, aliases, *_default_ids(source, file.defaults, names), servers=file.servers)


def _validated(source: Source) -> ModelsFile:
    if not isinstance(source.data, Mapping):
        raise source.fault((), "holds `defaults` and `models`, and nothing else")
    try:
        return ModelsFile.model_validate(source.data)
    except ValidationError as error:
        raise source.first_fault((), error) from None


def _check_server_names(source: Source, servers: Mapping[str, ModelServer]) -> None:
    for name in servers:
        if name in PROVIDERS or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise source.fault(
                ("servers", name), f"a name of small letters, digits and _, and none of {', '.join(PROVIDERS)}"
            )


def _entry(source: Source, model_id: str, fields: Mapping[str, Any], servers: Mapping[str, ModelServer]) -> ModelEntry:
    place: Place = ("models", model_id)
    provider, _, name = model_id.partition("-")
    known = (*PROVIDERS, *servers)
    if provider not in known or not name:
        raise source.fault(place, f"an id is PROVIDER-MODEL, PROVIDER one of {', '.join(known)}")
    if provider in servers:
        fields = {"local": servers[provider].local, **fields}
    for derived in ("id", "provider"):
        if derived in fields:
            raise source.fault((*place, derived), "not a field: the id above says it")
    kind = LocalModel if provider == "local" else ModelEntry
    try:
        return kind.model_validate({"id": model_id, **fields})
    except ValidationError as error:
        raise source.first_fault(place, error) from None


def _listed_entries(listed: str, entries: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
    """The models of AVAILABLE_LOCAL_MODELS that the file does not describe: names of the Model Runner."""
    added = {}
    for name in filter(None, map(str.strip, listed.split(","))):
        model_id = name if name.startswith("docker_modelrunner-") else f"docker_modelrunner-{name}"
        entry = ad_hoc_entry(model_id)
        if entry is None:
            raise ConfigError(f"Wrong setting: AVAILABLE_LOCAL_MODELS: {name!r} is no name")
        if model_id not in entries:
            added[model_id] = entry
    return added


def _with_fallback_ids(source: Source, entry: ModelEntry, names: Catalog) -> ModelEntry:
    """The entry with ids for the names in `fallbacks`. A model is no fallback of its own."""
    if not entry.fallbacks:
        return entry
    by_class = {}
    for error_class, given in entry.fallbacks.items():
        ids = []
        for index, name in enumerate(given):
            place: Place = ("models", entry.id, "fallbacks", error_class, index)
            if ("models", entry.id, "fallbacks", index) in source.lines:  # a list, for every class
                place = ("models", entry.id, "fallbacks", index)
            try:
                model_id = names.resolve(name).id
            except ModelNotFound as error:
                raise source.fault(place, error.message) from None
            if model_id == entry.id:
                raise source.fault(place, "a model cannot stand in for itself")
            ids.append(model_id)
        by_class[error_class] = tuple(ids)
    return entry.model_copy(update={"fallbacks": by_class})


def _file_aliases(source: Source, entries: Mapping[str, ModelEntry]) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for entry in entries.values():
        for index, alias in enumerate(entry.aliases):
            place: Place = ("models", entry.id, "aliases", index)
            if alias in entries:
                raise source.fault(place, f"{alias!r} is a model's id")
            if alias in aliases:
                raise source.fault(place, f"{alias!r} is an alias of {aliases[alias]} already")
            aliases[alias] = entry.id
    return aliases


def _mapped_aliases(mapping: Mapping[str, str], entries: Mapping[str, ModelEntry]) -> dict[str, str]:
    """MODEL_MAPPING may move an alias of the file; it may not hide a model behind its own id."""
    for alias, model_id in mapping.items():
        if not re.fullmatch(NAME_PATTERN, alias):
            raise ConfigError(f"Wrong setting: MODEL_MAPPING: {alias!r} is no name")
        if alias in entries:
            raise ConfigError(f"Wrong setting: MODEL_MAPPING: {alias!r} is a model's id")
        if model_id not in entries and ad_hoc_entry(model_id) is None:
            raise ConfigError(
                f"Wrong setting: MODEL_MAPPING: {alias!r} names {model_id!r}, which is neither in the catalog"
                f" nor begins with {' or '.join(f'{provider}-' for provider in AD_HOC_PROVIDERS)}"
            )
    return dict(mapping)


def _default_ids(source: Source, defaults: Defaults, catalog: Catalog) -> tuple[tuple[str, ...], str | None]:
    """The ids of the default models and of the default lead, which may be given as aliases."""

    def id_of(name: str, *place: str | int) -> str:
        try:
            return catalog.resolve(name).id
        except ModelNotFound as error:
            raise source.fault(("defaults", *place), error.message) from None

    models = tuple(id_of(name, "models", index) for index, name in enumerate(defaults.models))
    return models, id_of(defaults.lead, "lead") if defaults.lead else None
