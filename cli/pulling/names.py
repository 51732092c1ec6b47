"""Which model is meant, and which server has to fetch it."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from common.catalog.catalog import Catalog
from common.catalog.entry import NAME_PATTERN, ModelEntry
from common.errors import InvalidInput, ModelNotFound

PULLABLE = ("docker_modelrunner", "ollama")
REGISTRIES = ("index.docker.io/", "docker.io/", "registry.ollama.ai/")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model in the words of its server, which `provider` names."""

    provider: str
    name: str


def split(arguments: Iterable[str]) -> list[str]:
    """Names from several arguments, each of which may hold several with commas between them."""
    return [name.strip() for argument in arguments for name in argument.split(",") if name.strip()]


def wanted(names: Sequence[str], catalog: Catalog) -> list[Wanted]:
    """Each model once. A name may be an id or an alias of the catalog's; any other is the Model Runner's own.

    Raises:
        InvalidInput: it is no name, or one of a model that nobody can pull.
    """
    return list(dict.fromkeys(_wanted(name, catalog) for name in names))


def entry_of(name: str, catalog: Catalog) -> ModelEntry:
    """The catalog's entry; of a name that it does not know, the Model Runner's model of that name.

    Raises:
        InvalidInput: it is no name.
    """
    if re.fullmatch(NAME_PATTERN, name):
        for model_id in (name, f"docker_modelrunner-{name}"):
            with suppress(ModelNotFound):
                return catalog.resolve(model_id)
    raise InvalidInput(f"{name[:100]!r} is no name of a model.", field="NAMES")


def is_same(one: str, other: str, library: str) -> bool:
    """Whether two names mean one model, where `library` is the namespace that is left out (`ai/`)."""
    return _bare(one, library) == _bare(other, library)


def _wanted(name: str, catalog: Catalog) -> Wanted:
    entry = entry_of(name, catalog)
    if entry.provider not in PULLABLE:
        raise InvalidInput(
            f"{name} is not pulled: {entry.provider} serves it. Models of {' and '.join(PULLABLE)} are.", field="NAMES"
        )
    return Wanted(entry.provider, entry.name)


def _bare(name: str, library: str) -> str:
    bare = name.lower()
    for prefix in (*REGISTRIES, library):
        bare = bare.removeprefix(prefix)
    return bare.removesuffix(":latest")
