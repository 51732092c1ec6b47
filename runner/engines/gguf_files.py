"""Finding the one GGUF file that a path means."""

from pathlib import Path

from runner.faults import ModelMissing


def gguf_file(path: Path) -> Path:
    """The file itself, or the only one (or the first part of the only one) in a directory.

    Raises:
        ModelMissing: there is none, or there are several to choose from.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelMissing(f"There is nothing at {path}: pull the weights, or correct the model's source.")
    found = sorted(file for file in path.glob("*.gguf") if not _is_later_part(file))
    if not found:
        raise ModelMissing(f"{path} has no GGUF file: pull the weights, or choose the engine that reads what it has.")
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise ModelMissing(f"{path} has several GGUF files ({names}): name one of them as the source's file.")
    return found[0]


def _is_later_part(file: Path) -> bool:
    """Whether it is part 2 or more of a split file: `name-00002-of-00003.gguf`."""
    _, _, tail = file.stem.partition("-of-")
    part = file.stem.removesuffix(f"-of-{tail}").rpartition("-")[2]
    return bool(tail) and part.isdecimal() and int(part) > 1
