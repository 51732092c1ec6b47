from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from common.settings import Settings
from worker.lifecycle.site import own_container, site_of, weights_folder

INSTALLATION = UUID("0198f000-0000-7000-8000-000000000001")
ID = "3f" * 32


def settings(**said: Any) -> Settings:
    return Settings(_env_file=None, **said)


def test_a_worker_in_a_container_knows_which(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"""\
700 650 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB
712 700 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw
""")
    assert own_container(mounts) == ID


def test_a_worker_on_a_host_is_in_none_though_containers_run_there(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"90 30 0:60 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n")
    assert own_container(mounts) is None
    assert own_container(tmp_path / "nothing") is None


@pytest.mark.parametrize(("said", "reach"), [("auto", "name"), ("address", "address"), ("published", "published")])
def test_how_containers_are_reached_can_be_said(said: str, reach: str) -> None:
    site = site_of(settings(ultra_model_reach=said), INSTALLATION, "node", is_in_container=True)
    assert site.reach == reach


def test_installations_have_networks_of_their_own_unless_one_is_named() -> None:
    own = site_of(settings(), INSTALLATION, "node", is_in_container=False)
    named = site_of(settings(ultra_model_network="fleet"), INSTALLATION, "node", is_in_container=False)
    assert (own.network, named.network) == ("ultra-0198f000-models", "fleet")


def test_the_weights_folder_is_where_data_belongs_unless_one_is_named(tmp_path: Path) -> None:
    folder = weights_folder(settings(), {"XDG_DATA_HOME": str(tmp_path)})
    assert folder.path == tmp_path / "ultrallm" / "weights"
    assert folder.path.is_dir()
    assert folder.source == str(folder.path)
    named = weights_folder(settings(ultra_weights_path=tmp_path / "w", ultra_weights_volume="volume"), {})
    assert (named.path, named.source) == (tmp_path / "w", "volume")
