"""Where this worker is, and what follows from that: how containers are reached, and where weights lie."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from common.settings import Settings
from worker.lifecycle.template import Reach, Site
from worker.lifecycle.weights import WeightsFolder

# A container's own: what Docker mounts there comes from a folder that has its id.
MOUNTS = Path("/proc/self/mountinfo")


def site_of(settings: Settings, installation: UUID, node: str, *, is_in_container: bool) -> Site:
    """Where containers are made. `is_in_container`: this worker is in one of the same engine."""
    reach = settings.ultra_model_reach
    network = settings.ultra_model_network or f"ultra-{installation.hex[:8]}-models"
    if reach == "auto":
        reach = default_reach(sys.platform, is_in_container=is_in_container)
    return Site(installation, node, network, reach)


def default_reach(platform: str, *, is_in_container: bool) -> Reach:
    """In a container loopback is its own; a host sees containers' addresses, unless Docker runs in a machine apart."""
    if is_in_container:
        return "name"
    return "address" if platform == "linux" else "published"


def own_container(mounts: Path = MOUNTS) -> str | None:
    """The id of the container that this process is in; None on a bare host."""
    try:
        found = re.search(r"/containers/([0-9a-f]{64})/hostname ", mounts.read_text())
    except OSError:
        return None
    return found and found[1]


def weights_folder(settings: Settings, environment: Mapping[str, str] = os.environ) -> WeightsFolder:
    """The folder of weights, which is made if there is none."""
    data = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    path = (settings.ultra_weights_path or data / "ultrallm" / "weights").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return WeightsFolder(path, settings.ultra_weights_volume or str(path))
