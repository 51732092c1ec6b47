"""Where the servers from PyPI were installed, found without importing their packages."""

from importlib.util import find_spec
from pathlib import Path

from cli.embedded.errors import CannotStart


def package_directory(package: str, instead: str) -> Path:
    """The directory of an installed package; `instead` is the setting that makes it unnecessary.

    Raises:
        CannotStart: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(f"The package {package} is not installed: run `make setup`, or set {instead}.")
    return Path(spec.submodule_search_locations[0])


def only_file(directory: Path, pattern: str, instead: str) -> Path:
    """The file of this pattern in an installed package.

    Raises:
        CannotStart: the package has none, for example none for this processor.
    """
    found = sorted(directory.glob(pattern))
    if not found:
        raise CannotStart(f"{directory.name} has no {pattern} for this machine: set {instead}.")
    return found[0]
