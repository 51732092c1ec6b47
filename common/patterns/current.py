"""The patterns of a running process, as their file is now."""

from common.catalog.catalog import Catalog
from common.patterns.load import SHIPPED_PATH, Patterns, load_patterns
from common.reloading import Reloaded
from common.settings import Settings


def current_patterns(settings: Settings, catalog: Reloaded[Catalog]) -> Reloaded[Patterns]:
    """The patterns of ANALYSIS_PATTERNS_PATH, or those we ship, kept current.

    A changed catalog is reason to read them anew too: they may name models that came or went.

    Raises:
        ConfigError: the file is wrong.
    """
    path = settings.analysis_patterns_path or SHIPPED_PATH
    return Reloaded(lambda: load_patterns(path, catalog.value), [path], after=catalog)
