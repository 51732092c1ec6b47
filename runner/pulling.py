"""`python -m runner pull`: weights from Hugging Face into the volume that models are served from.

The one step that needs the internet, in a container of its own. It reports one line of JSON a second on
standard output, and last either `done` there or `fatal` on standard error.
"""

import argparse
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from runner.faults import DownloadFailed, Fatal, ModelMissing, NoSpace, PullDenied

REPORT_EVERY_SECONDS = 1.0
# What transformers reads of a repository's top folder. Code is not among it: see --code.
WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
CODE = "*.py"
# What is kept free beside the weights: a volume that is full to the brim harms whoever shares it.
SPARE_BYTES = 256 * 2**20
METADATA = ".cache"


def pull(arguments: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code. Pulled already: nothing is asked of the hub."""
    asked = _parser().parse_args(arguments)
    if asked.to.exists():
        _report("done", path=str(asked.to), revision=asked.revision, already=True)
        return 0
    # The image forbids it, since models run offline.
    os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    try:
        _pull(asked.repo, asked.revision, asked.file, asked.to, with_code=asked.code)
    except Fatal as fault:
        sys.stderr.write(fault.line())
        return fault.exit_code
    return 0


def _pull(repo: str, revision: str, file: str | None, to: Path, *, with_code: bool) -> None:
    import httpx2
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    partial = to.with_name(f"{to.name}.partial")
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        sizes = chosen({one.rfilename: one.size or 0 for one in info.siblings or []}, repo, file, with_code=with_code)
        total = sum(sizes.values())
        partial.mkdir(parents=True, exist_ok=True)
        _refuse_full_disk(partial, total - _bytes_in(partial))
        with _reporting(partial, total):
            for name in sizes:
                # By the commit: a branch may move meanwhile. What is there already is not fetched again.
                hf_hub_download(repo, name, revision=info.sha, local_dir=partial)
    except GatedRepoError:
        raise PullDenied(f"{repo} asks for an agreement: accept it on its page and set HF_TOKEN.") from None
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise ModelMissing(f"The hub has no {repo} at {revision}, or HF_TOKEN may not see it.") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError) as error:
        raise DownloadFailed(f"{repo} could not be downloaded: {type(error).__name__}: {error}") from None
    except OSError as error:
        raise DownloadFailed(f"{partial} cannot be written: {error}") from None
    shutil.rmtree(partial / METADATA, ignore_errors=True)
    if not to.exists():
        partial.rename(to)
    _report("done", path=str(to), revision=info.sha, bytes=total)


def chosen(files: dict[str, int], repo: str, file: str | None, *, with_code: bool) -> dict[str, int]:
    """The files to fetch, with their sizes.

    Raises:
        ModelMissing: it has not the file, or no weights that are read here.
    """
    if file is not None:
        # A file in parts is named by its first; the others differ in their number.
        pattern = file.replace("-00001-of-", "-?????-of-")
        found = {name: size for name, size in files.items() if fnmatch(name, pattern)}
        if not found:
            some = ", ".join(sorted(files)[:10])
            raise ModelMissing(f"{repo} has no {file}. It has {some}.")
        return found
    patterns = (*WANTED, *((CODE,) if with_code else ()))
    found = {
        name: size
        for name, size in files.items()
        if "/" not in name and any(fnmatch(name, pattern) for pattern in patterns)
    }
    if not any(name.endswith(".safetensors") for name in found):
        raise ModelMissing(f"{repo} has no safetensors: choose one that has, or name one of its GGUF files as `file`.")
    return found


def _refuse_full_disk(directory: Path, missing: int) -> None:
    free = shutil.disk_usage(directory).free
    if missing + SPARE_BYTES > free:
        raise NoSpace(f"{missing:,} bytes are to be pulled and {directory} has {free:,} free: make room.")


@contextmanager
def _reporting(directory: Path, total: int) -> Iterator[None]:
    """Say every second how much is there."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(REPORT_EVERY_SECONDS):
            _report("progress", bytes=min(_bytes_in(directory), total), total_bytes=total)

    _report("progress", bytes=min(_bytes_in(directory), total), total_bytes=total)
    watcher = threading.Thread(target=watch, name="progress")
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _bytes_in(directory: Path) -> int:
    """What is really on the disk: a download may reserve a file's whole length at once."""
    total = 0
    for file in directory.rglob("*"):
        try:
            total += file.stat().st_blocks * 512 if file.is_file() else 0
        except FileNotFoundError:
            continue  # it was finished and moved while we looked
    return total


def _report(event: str, **details: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runner pull", description=__doc__)
    parser.add_argument("--repo", required=True, help="organisation/name")
    parser.add_argument("--revision", required=True, help="a commit; a branch's name is resolved to one first")
    parser.add_argument("--file", help="one file, for GGUF; left out, the safetensors and what belongs to them")
    parser.add_argument("--code", action="store_true", help="the repository's Python code too")
    parser.add_argument("--to", type=Path, required=True, help="the directory to make; it appears when all is there")
    return parser
