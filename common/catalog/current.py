"""The catalog of a running process: the file and MODEL_MAPPING, as they are now."""

from pathlib import Path

from common.catalog.catalog import Catalog
from common.catalog.load import SHIPPED_PATH, load_catalog
from common.reloading import Reloaded, stamp
from common.settings import Settings, load_settings

DOT_ENV = Path(".env")


def current_catalog(settings: Settings) -> Reloaded[Catalog]:
    """The catalog that these settings describe, kept current.

    Of `.env` only MODEL_MAPPING is read again: the rest needs a restart, and what the environment says stands.

    Raises:
        ConfigError: the catalog is wrong.
    """
    dot_env = DOT_ENV.absolute()
    untouched = stamp(dot_env)

    def load() -> Catalog:
        if stamp(dot_env) == untouched:
            return load_catalog(settings)
        fresh = load_settings.__wrapped__()  # past the cache, which holds what the process started with
        return load_catalog(settings.model_copy(update={"model_mapping": fresh.model_mapping}))

    return Reloaded(load, [settings.ultra_models_path or SHIPPED_PATH, dot_env])
