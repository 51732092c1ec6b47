"""What a model's container is made of. Pure: an entry of the catalog and a decision of the plan in, a config out.

The engine obeys whoever holds its socket, root and all, so this is the only way to it, and everything that decides
what a container may do stands here as a constant: no caller of ours can ask for more.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from common.catalog.local import LocalModel
from common.fleet.contracts import (
    LABEL_GENERATION,
    LABEL_GPU_BYTES,
    LABEL_GPUS,
    LABEL_HOST_BYTES,
    LABEL_INSTALLATION,
    LABEL_MODEL,
    LABEL_NODE,
    LABEL_SPEC,
    RUNNER_PORT,
)
from worker.lifecycle.engines import IMAGES, command_of, environment_of, image_of
from worker.lifecycle.planning.effects import Create
from worker.lifecycle.planning.ledger import charge
from worker.lifecycle.planning.policy import POLICY

# name: by the container's name on a network that its callers share; address: by its address, from the host of its
# bridge; published: by a port on loopback, where the engine lives in a machine of its own.
Reach = Literal["name", "address", "published"]

# Not root, and nobody whom a host knows: the user of the runner's image.
USER = "10001:10001"
# What a model's threads need, and a fork bomb does not.
MAX_PROCESSES = 2048
# Compiled kernels and the like. It counts as memory of the container.
TMPFS = "rw,nosuid,nodev,size=1g,mode=1777"
# GPUs of one container talk through it; it counts as memory too.
GPU_SHARED_BYTES = 1 << 30
# When a host runs out of memory, a model goes before a database.
OOM_SCORE = 500
LOG_FILES = {"max-size": "10m", "max-file": "2"}

# Of every container, whatever it is for. Swap is none: MemorySwap is memory and swap together.
_HARDENED: dict[str, Any] = {
    "Init": True,
    "Privileged": False,
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": TMPFS},  # noqa: S108
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges:true"],
    "RestartPolicy": {"Name": "no"},
    "AutoRemove": False,
    "PidsLimit": MAX_PROCESSES,
    "OomScoreAdj": OOM_SCORE,
    "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    "LogConfig": {"Type": "json-file", "Config": LOG_FILES},
}

# It knows how to pull from Hugging Face, and is small.
PULLER_IMAGE = IMAGES["llamacpp"]
PULLER_BYTES = 2 << 30
# What code in a model's container has no business with.
FOR_PULLING = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})

PORT = f"{RUNNER_PORT}/tcp"
MAX_SLUG_CHARACTERS = 36


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder, a file or a volume that the engine knows as `source`, for a container to read at `target`."""

    kind: Literal["bind", "volume"]
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a model's weights are: what to mount, and their path inside. Without a mount the image has its own."""

    mount: Mount | None
    path: str


@dataclass(frozen=True, slots=True)
class Site:
    """Where containers are made: whose, on which node, and how they are reached."""

    installation: UUID
    node: str
    network: str
    reach: Reach


def container_name(installation: UUID, model: str, generation: int) -> str:
    """Unique on an engine, and a host name."""
    return f"ultra-{installation.hex[:8]}-{slug(model)}-{generation}"


def slug(model: str) -> str:
    """The model's id in small letters, digits and dashes; with a digest where that would lose something."""
    plain = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    if plain == model and len(plain) <= MAX_SLUG_CHARACTERS:
        return plain
    digest = sha256(model.encode()).hexdigest()[:6]
    return f"{plain[: MAX_SLUG_CHARACTERS - 7].rstrip('-')}-{digest}"


def container_config(entry: LocalModel, create: Create, weights: Weights, site: Site) -> dict[str, Any]:
    """The engine's ContainerCreate: what the plan decided, and what no plan decides."""
    config: dict[str, Any] = {
        "Image": image_of(entry),
        "User": USER,
        "Env": _variables(_environment(entry, create, weights)),
        "Labels": _labels(create, site),
        "ExposedPorts": {PORT: {}},
        # We look ourselves, and more often.
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopTimeout": math.ceil(entry.drain_seconds),
        "HostConfig": _host_config(entry, create, weights, site),
        "NetworkingConfig": {"EndpointsConfig": {site.network: {}}},
    }
    command = command_of(entry, weights.path, len(create.reserved.gpu_uuids))
    return config | ({"Cmd": command} if command else {})


def puller_name(installation: UUID, model: str) -> str:
    """Of the container that pulls a model's weights: one at a time."""
    return f"ultra-{installation.hex[:8]}-pull-{slug(model)}"


def puller_config(entry: LocalModel, mount: Mount, folder: str, user: str, site: Site) -> dict[str, Any]:
    """The engine's ContainerCreate of the one kind that has the internet, and may write into the weights' folder."""
    source = entry.source
    wanted = ["--repo", source.repo or "", "--revision", source.revision or "", "--to", folder]
    wanted += ["--file", source.file] if source.file else []
    wanted += ["--code"] if entry.trust_remote_code else []
    return {
        "Image": PULLER_IMAGE,
        "User": user,
        "Cmd": ["pull", *wanted],
        "Env": _variables({"HOME": "/tmp"} | entry.environment),  # noqa: S108
        "Labels": {LABEL_INSTALLATION: str(site.installation), LABEL_NODE: site.node},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_HARDENED,
            "Memory": PULLER_BYTES,
            "MemorySwap": PULLER_BYTES,
            "Mounts": [{"Type": mount.kind, "Source": mount.source, "Target": mount.target, "ReadOnly": False}],
            "NetworkMode": "bridge",
        },
    }


def network_config(installation: UUID, reach: Reach) -> dict[str, Any]:
    """The engine's NetworkCreate: neither the internet nor each other can be reached from there.

    An internal network cannot publish a port, so one that does is left without a way back from outside.
    """
    options = {"com.docker.network.bridge.enable_icc": str(reach == "name").lower()}
    if reach == "published":
        options["com.docker.network.bridge.enable_ip_masquerade"] = "false"
    return {
        "Driver": "bridge",
        "Internal": reach != "published",
        "Options": options,
        "Labels": {LABEL_INSTALLATION: str(installation)},
    }


def _labels(create: Create, site: Site) -> dict[str, str]:
    return {
        LABEL_INSTALLATION: str(site.installation),
        LABEL_NODE: site.node,
        LABEL_MODEL: create.model,
        LABEL_GENERATION: str(create.generation),
        LABEL_SPEC: create.spec,
        LABEL_HOST_BYTES: str(create.reserved.host_bytes),
        LABEL_GPU_BYTES: str(create.reserved.gpu_bytes),
        LABEL_GPUS: ",".join(create.reserved.gpu_uuids),
    }


def _environment(entry: LocalModel, create: Create, weights: Weights) -> dict[str, str]:
    """Inside, GPUs are counted anew from 0: which they are of the host's is said to the engine alone."""
    # An image that wants all GPUs would get them from an engine whose default runtime is NVIDIA's.
    gpus = {} if create.reserved.gpu_uuids else {"NVIDIA_VISIBLE_DEVICES": "void"}
    of_entry = {name: value for name, value in entry.environment.items() if name not in FOR_PULLING}
    return {"HOME": "/tmp"} | of_entry | environment_of(entry, weights.path) | gpus  # noqa: S108  # a tmpfs


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


def _host_config(entry: LocalModel, create: Create, weights: Weights, site: Site) -> dict[str, Any]:
    reserved = create.reserved
    limit = charge(reserved, POLICY).host_bytes  # no container takes more than the ledger counts for it
    config: dict[str, Any] = {**_HARDENED, "Memory": limit, "MemorySwap": limit, "NetworkMode": site.network}
    if weights.mount is not None:
        mount = weights.mount
        config["Mounts"] = [{"Type": mount.kind, "Source": mount.source, "Target": mount.target, "ReadOnly": True}]
    if entry.cpus is not None:
        config["NanoCpus"] = int(entry.cpus * 1e9)
    if site.reach == "published":
        config["PortBindings"] = {PORT: [{"HostIp": "127.0.0.1", "HostPort": ""}]}  # any that is free
    if reserved.gpu_uuids:
        config["DeviceRequests"] = [
            {"Driver": "nvidia", "DeviceIDs": list(reserved.gpu_uuids), "Capabilities": [["gpu"]]}
        ]
        config["ShmSize"] = GPU_SHARED_BYTES
    return config
