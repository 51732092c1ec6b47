"""`python -m runner pull` against a hub of our own making."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.runner.pretrained.hub import COMMIT, Hub, serving
from tests.runner.processes import ROOT

FILES = {"config.json": b"{}", "model.safetensors": os.urandom(300_000), "pytorch_model.bin": b"x"}


def pulled(hub: Hub, to: Path, *more: str, revision: str = "main") -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Exit code, what it reported, and its last word where that is JSON."""
    asked = ["pull", "--repo", "org/model", "--revision", revision, "--to", str(to), *more]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "runner", *asked],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1"}
        | {"HF_HOME": str(to.parent / "home"), "HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "hf_secret" not in ended.stdout + ended.stderr
    last = (ended.stderr.splitlines() or [""])[-1]
    reports = [json.loads(line) for line in ended.stdout.splitlines()]
    return ended.returncode, reports, json.loads(last) if last.startswith("{") else {}


def test_weights_appear_whole_with_their_commit(tmp_path: Path) -> None:
    with serving(FILES) as hub:
        code, reports, _ = pulled(hub, tmp_path / "model")
    assert code == 0
    assert sorted(hub.fetched) == ["config.json", "model.safetensors"]
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors"}
    assert (tmp_path / "model/model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert reports[0]["total_bytes"] == 300_002
    assert reports[-1] == {
        "event": "done",
        "path": str(tmp_path / "model"),
        "revision": COMMIT,
        "bytes": 300_002,
    }


def test_what_broke_off_goes_on_where_it_ended(tmp_path: Path) -> None:
    with serving(FILES) as hub:
        hub.breaks_off = True
        code, _, said = pulled(hub, tmp_path / "model")
        assert (code, said["fatal"]) == (10, "download_failed")
        assert not (tmp_path / "model").exists()
        hub.breaks_off = False
        hub.fetched.clear()
        assert pulled(hub, tmp_path / "model")[0] == 0
    assert hub.fetched == ["model.safetensors"]
    assert (tmp_path / "model/model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_what_the_hub_refuses_has_a_code(tmp_path: Path) -> None:
    with serving(FILES) as hub:
        assert pulled(hub, tmp_path / "a", revision="gone")[0] == 3
        assert pulled(hub, tmp_path / "b", "--file", "q.gguf")[2]["fatal"] == "model_missing"
        hub.is_gated = True
        code, _, said = pulled(hub, tmp_path / "c")
        assert (code, said["fatal"]) == (8, "pull_denied")
        hub.url = "http://127.0.0.1:9"
        code, _, said = pulled(hub, tmp_path / "d")
        assert (code, said["fatal"]) == (10, "download_failed")
    assert not any((tmp_path / name).exists() for name in "abcd")
