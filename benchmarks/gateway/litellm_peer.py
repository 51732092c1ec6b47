"""LiteLLM's proxy, which users would pick, in an environment of its own: it is no dependency of ours.

Set up as its documentation sets up production: one worker, no debugging output, no database, a master key.
It sees none of our environment: its packages were tampered with twice in 2026, hence the lock with hashes.
"""

import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import yaml

from benchmarks.gateway.systems import MANNERS, Address, Cores, Direct, Manner
from benchmarks.gateway.venvs import Venv
from benchmarks.processes import Processes, free_port
from benchmarks.systems import until

LOCK = Path(__file__).parent / "litellm.lock"
START_SECONDS = 120
_KEY = "sk-benchmark"
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # prices from its package, not from the network
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


class LiteLLM:
    name = "LiteLLM"

    def __init__(self, processes: Processes, cores: Cores, upstream: Direct, venv: Venv) -> None:
        self.port = free_port()
        self._processes, self._cores, self._upstream, self._venv = processes, cores, upstream, venv

    @property
    def pid(self) -> int:
        return self._processes.pids["litellm"]

    def start(self) -> None:
        home = self._processes.log_dir / "litellm"
        home.mkdir()
        config = home / "config.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        # `env -i`, and in turn what it needs: both become the command, so that the process stays one
        environment = [f"{name}={value}" for name, value in {**_ENVIRONMENT, "HOME": str(home)}.items()]
        command = ["env", "--ignore-environment", f"--chdir={home}", *environment, str(self._venv.program("litellm"))]
        command += ["--config", str(config), "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--num_workers", "1", "--telemetry", "False"]
        self._processes.start("litellm", self._cores.pinned(command))
        until(self._is_alive, "LiteLLM is alive", timeout_seconds=START_SECONDS)

    def address(self, manner: Manner) -> Address:
        return Address(self.port, "/v1/chat/completions", _KEY, f"{manner}-canned-1")

    def _config(self) -> dict[str, object]:
        models = [
            {
                "model_name": f"{manner}-canned-1",
                "litellm_params": {
                    "model": "openai/canned-1",
                    "api_base": f"{self._upstream.base}/{manner}/v1",
                    "api_key": "upstream",
                },
            }
            for manner in MANNERS
        ]
        return {
            "model_list": models,
            "general_settings": {"master_key": _KEY},
            "litellm_settings": {"set_verbose": False, "json_logs": True, "request_timeout": 600},
        }

    def _is_alive(self) -> bool:
        if not self._processes.are_up(self.port):
            return False
        with suppress(urllib.error.URLError, TimeoutError):
            url = f"http://127.0.0.1:{self.port}/health/liveliness"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        return False
