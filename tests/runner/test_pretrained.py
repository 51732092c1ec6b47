"""The tests that need torch, in a Python that has it."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = 580


def test_the_transformers_engine_passes_its_own_tests() -> None:
    python = os.environ.get("RUNNER_PYTHON")
    if not python:
        pytest.skip("RUNNER_PYTHON names no Python with torch: docs/runner.md says how to make one")
    tests = [python, "-m", "pytest", str(HERE / "pretrained"), "--confcutdir", str(HERE), "-p", "no:cacheprovider"]
    ended = subprocess.run(tests, cwd=HERE.parents[1], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
