"""A model that we run ourselves, in a container: what its entry says beyond what every entry may say."""

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from common.catalog.entry import ModelEntry

Engine = Literal["llamacpp", "transformers", "vllm", "model_runner", "ollama"]
Gpu = Literal["none", "auto"] | Annotated[int, Field(ge=1, le=16)]
DType = Literal["auto", "float32", "float16", "bfloat16"]

# Their servers fetch their own weights, by a name of their own.
TAGGED_ENGINES = frozenset({"model_runner", "ollama"})

MIB, GIB = 1 << 20, 1 << 30
_UNITS = {"MIB": MIB, "GIB": GIB, "MB": 10**6, "GB": 10**9}
MAX_MEMORY_BYTES = 4096 * GIB

# What the worker says to the container, and why no entry may.
RESERVED_VARIABLES = {
    re.compile(r"ULTRA_\w*", re.IGNORECASE): "ULTRA_* is said by the worker",
    re.compile(r"(CUDA|NVIDIA)_VISIBLE_DEVICES"): "its GPUs are chosen when it is placed, and `gpu` says how many",
}


def bytes_of(given: Any) -> Any:
    """`512 MiB`, `1.5 GiB` or `16 GB` in bytes.

    Raises:
        ValueError: says how memory is written.
    """
    match = (
        re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?) ?(MiB|GiB|MB|GB)", given, re.IGNORECASE)
        if isinstance(given, str)
        else None
    )
    if match is None:
        raise ValueError("memory is a number and a unit, MiB, GiB, MB or GB: 1.5 GiB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _unreserved(name: str) -> str:
    for reserved, why in RESERVED_VARIABLES.items():
        if reserved.fullmatch(name):
            raise ValueError(f"may not be set: {why}")
    return name


Memory = Annotated[int, BeforeValidator(bytes_of), Field(ge=16 * MIB, le=MAX_MEMORY_BYTES)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100), AfterValidator(_unreserved)]


class WeightSource(BaseModel):
    """Where a model's weights are: exactly one of `path`, `package`, `repo` and `tag`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(
        None, min_length=1, max_length=1000, description="A file or folder; below the weights' folder if relative."
    )
    package: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="An installed Python package that holds them."
    )
    repo: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$",
        max_length=200,
        description="ORG/NAME of Hugging Face.",
    )
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="The commit of `repo`.")
    tag: str | None = Field(None, min_length=1, max_length=200, description="What Ollama or the Model Runner calls it.")
    file: str | None = Field(
        None,
        pattern=r"^[\w-][\w./-]*\.(gguf|safetensors)$",
        max_length=300,
        description="One file of `repo` or `package`.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.package, self.repo, self.tag)) != 1:
            raise ValueError("one of `path`, `package`, `repo` and `tag`")
        if (self.repo is None) != (self.revision is None):
            raise ValueError("`repo` and `revision` (a commit, of 40 hexadecimal digits) go together")
        if self.file is not None and ((self.repo is None and self.package is None) or ".." in self.file):
            raise ValueError("`file` is one of those of `repo` or `package`")
        return self


class LocalModel(ModelEntry):
    """An entry `local-NAME`: how its container is made, and when it runs."""

    source: WeightSource
    engine: Engine
    image: str | None = Field(
        None, pattern=r"^[a-z0-9][\w./:@-]*$", max_length=300, description="The engine's own if left out."
    )
    memory: Memory = Field(description="What it takes: of the host, or of all its GPUs together.")
    host_memory: Memory = Field(
        4 * GIB, description="What it takes of the host when it runs on a GPU; never more than `memory`."
    )
    gpu: Gpu = Field(
        "none", description="`auto`: one where a node has one that is large enough, else none; or how many."
    )
    cpus: float | None = Field(None, gt=0, le=1024, description="Of the host's; all if left out.")
    slots: int = Field(4, ge=1, le=256, description="Calls that it works on at once.")
    max_waiting: int = Field(64, ge=0, le=10_000, description="Calls that wait in the container; more are refused.")
    context_window: int = Field(4096, ge=64, le=10_000_000, description="Tokens, prompt and answer together.")
    ttl: float | None = Field(
        300, ge=1, le=31_536_000, description="Seconds without a call after which it stops; null: never."
    )
    pinned: bool = Field(False, description="Never stopped for being idle, nor to make room.")
    load_seconds: float = Field(600, ge=5, le=7200, description="Past them a start has failed.")
    drain_seconds: float = Field(30, ge=0, le=3600, description="What calls in flight are given when it stops.")
    dtype: DType = "auto"
    trust_remote_code: bool = Field(False, description="Runs code of the `repo`.")
    # Keys among it, which no log should show.
    environment: dict[Variable, Annotated[str, Field(max_length=10_000)]] = Field(
        default_factory=dict, max_length=100, repr=False
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.source.tag is not None) != (self.engine in TAGGED_ENGINES):
            raise ValueError(
                f"`source` has a `tag` with the engines {', '.join(sorted(TAGGED_ENGINES))}, and with no other"
            )
        if self.trust_remote_code and self.source.repo is None:
            raise ValueError("`trust_remote_code` needs a `repo`, whose `revision` says which code")
        return self

    @property
    def spec_hash(self) -> str:
        """SHA-256 of what the container is made from: one of another hash has to be replaced."""
        made_from = self.model_dump(mode="json", include=_OF_THE_CONTAINER)
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


# When it runs, and how calls are made, may change without a new container.
_OF_THE_CONTAINER = {
    "id",
    "source",
    "engine",
    "image",
    "memory",
    "host_memory",
    "gpu",
    "cpus",
    "slots",
    "max_waiting",
    "context_window",
    "dtype",
    "trust_remote_code",
    "environment",
}
