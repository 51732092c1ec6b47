"""Where this worker is, and what follows from that: how containers are reached, and where weights lie."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from common.settings import Settings
from worker.lifecycle.template import Reach, Site
from worker.lifecycle.weights import WeightsFolder

# Docker makes it in every container.
CONTAINER_MARK = Path("/.dockerenv")


def site_of(settings: Settings, installation: UUID, node: str) -> Site:
    """Where containers are made. The network is known by its name until it is there."""
    reach = reach_of(settings, is_in_container=CONTAINER_MARK.exists(), platform=sys.platform)
    network = settings.ultra_model_network or f"ultra-{installation.hex[:8]}-models"
    return Site(installation, node, network, reach)


def reach_of(settings: Settings, *, is_in_container: bool, platform: str) -> Reach:
    """In a container loopback is its own; a host sees containers' addresses, unless Docker runs in a machine apart."""
    if settings.ultra_model_reach != "auto":
        return settings.ultra_model_reach
    if is_in_container:
        return "name"
    return "address" if platform == "linux" else "published"


def weights_folder(settings: Settings, environment: Mapping[str, str] = os.environ) -> WeightsFolder:
    """The folder of weights, which is made if there is none."""
    data = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    path = (settings.ultra_weights_path or data / "ultrallm" / "weights").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return WeightsFolder(path, settings.ultra_weights_volume or str(path))
