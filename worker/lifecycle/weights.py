"""Where a model's weights lie, for this worker to look at and for a container to mount.

The weights' folder has two names: the path at which this worker sees it, and what the engine calls it, which is the
same path on a bare host and a volume's name in Compose. What Hugging Face's weights are pulled into is below
`hub/ORG--NAME`, a folder that appears when all of it is there (runner/pulling.py): `REVISION`, `REVISION-code` where
the repository's code belongs to it, and of one file `REVISION-files/FILE`, for who pulled one has no other. A revision
is a commit, so what is there once stays right. A package's weights are where it is installed, which an engine sees on a
bare host alone; in Compose `deploy/bring-weights.sh` puts them into `packages/NAME` below the folder.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from common.catalog.local import LocalModel, WeightSource
from common.fleet.contracts import Fault
from worker.lifecycle.template import USER, Mount, Weights

# In every container.
MODELS = PurePosixPath("/models")
HUB = "hub"
PACKAGES = "packages"
ROOT = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """The weights are not there yet: to be pulled into `folder`, below the weights' folder."""

    folder: PurePosixPath

    @property
    def inside(self) -> str:
        """The folder as containers see it."""
        return str(MODELS / self.folder)


@dataclass(frozen=True, slots=True)
class WeightsFolder:
    """`path` is how this worker sees it, `source` how the engine does: an absolute path, or a volume's name."""

    path: Path
    source: str

    def find(self, entry: LocalModel) -> Weights | Missing | Fault:
        """The weights of a model, or what is to be done about them. Looks at the disk."""
        try:
            return self._find(entry)
        except (OSError, RuntimeError) as error:  # RuntimeError is of links that lead in a circle
            return _missing(f"Its source cannot be looked at: {error}")

    def _find(self, entry: LocalModel) -> Weights | Missing | Fault:
        source = entry.source
        if source.tag is not None:
            return self._below(PurePosixPath(entry.engine))  # which its own program pulls into
        if source.repo is not None:
            return self._of_repo(source, with_code=entry.trust_remote_code)
        if source.package is not None:
            return self._of_package(source)
        path = Path(source.path or "")
        if not path.is_absolute():
            return self._below(PurePosixPath(source.path or ""))
        # A worker in a container cannot look at its host: the engine says it if there is nothing.
        return Weights(Mount("bind", str(path), str(MODELS / path.name)), str(MODELS / path.name))

    def prepare(self, missing: Missing) -> tuple[Mount, str]:
        """What to mount for a pull, and the user who may write there, who is never root."""
        parent = missing.folder.parent
        path = self.path / parent
        path.mkdir(parents=True, exist_ok=True)
        if path.stat().st_uid == ROOT:
            os.chown(path, *map(int, USER.split(":")))
        owner = path.stat()
        return self._mount(parent), f"{owner.st_uid}:{owner.st_gid}"

    def _of_repo(self, source: WeightSource, *, with_code: bool) -> Weights | Missing:
        folder = _pulled_into(source, with_code=with_code)
        if not (self.path / folder).exists():
            return Missing(folder)
        return Weights(self._mount(folder), str(MODELS / folder / (source.file or "")))

    def _of_package(self, source: WeightSource) -> Weights | Fault:
        name, file = source.package or "", source.file or ""
        brought = self._below(PurePosixPath(PACKAGES, name, file))
        if isinstance(brought, Weights):
            return brought
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            return _missing(
                f"The package {name} is neither installed where the lifecycle worker runs, nor is {file} of it in"
                f" {self.path / PACKAGES / name}: do either."
            )
        folder = Path(spec.submodule_search_locations[0])
        if not (folder / file).exists():
            return _missing(f"The package {name} has no {file}.")
        return Weights(Mount("bind", str(folder), str(MODELS / name)), str(MODELS / name / file))

    def _below(self, relative: PurePosixPath) -> Weights | Fault:
        if not (self.path / relative).resolve().is_relative_to(self.path.resolve()):
            return _missing(f"{relative} leads out of the weights' folder {self.path}.")
        if not (self.path / relative).exists():
            return _missing(f"There is no {relative} in the weights' folder {self.path}: put it there.")
        return Weights(self._mount(relative), str(MODELS / relative))

    def _mount(self, relative: PurePosixPath) -> Mount:
        """Only what is asked for, where the engine can mount a part; of a volume it mounts the whole (until 1.45)."""
        if self.source.startswith("/"):
            return Mount("bind", str(PurePosixPath(self.source) / relative), str(MODELS / relative))
        return Mount("volume", self.source, str(MODELS))


def _pulled_into(source: WeightSource, *, with_code: bool) -> PurePosixPath:
    """The folder that holds what is asked of the repository, and nothing that was asked of it otherwise."""
    home, revision = PurePosixPath(HUB, (source.repo or "").replace("/", "--")), source.revision or ""
    if source.file is not None:
        return home / f"{revision}-files" / source.file
    return home / (f"{revision}-code" if with_code else revision)


def _missing(message: str) -> Fault:
    """Time does not bring them; who puts them there asks anew."""
    return Fault("model_missing", message)
