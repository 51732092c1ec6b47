"""Ours as a user runs it: `ultra serve` on Postgres and Valkey, with a key, limits, usage and fallbacks on."""

from collections.abc import Mapping

import psycopg
import yaml

from benchmarks.gateway.alone import Client
from benchmarks.gateway.systems import MANNERS, Address, Cores, Direct, Manner
from benchmarks.ours_system import ULTRA, ultra
from benchmarks.processes import Processes, free_port
from benchmarks.systems import until

# counted at every request and never reached
_LIMITS = {"requests-per-minute": 100_000_000, "tokens-per-minute": 2_000_000_000, "parallel": 100_000, "budget": 10**6}
_PRICE = {"prompt_usd_per_million": 2.5, "completion_usd_per_million": 10}


class Ours:
    """`servers` are the DATABASE_URL and REDIS_URL of an empty stack."""

    name = "ours"

    def __init__(self, processes: Processes, cores: Cores, upstream: Direct, servers: Mapping[str, str]) -> None:
        self.port = free_port()
        self._processes, self._cores, self._upstream = processes, cores, upstream
        self._environment = dict(servers)
        self._key = ""

    @property
    def pid(self) -> int:
        return self._processes.pids["ours"]

    def start(self) -> None:
        models = self._processes.log_dir / "models.yaml"
        models.write_text(yaml.safe_dump(self._catalog()))
        self._environment |= {"ULTRA_MODELS_PATH": str(models), "ULTRA_AUTH": "required"}
        ultra(self._environment, "migrate")
        limits = [f"--{name}={value}" for name, value in _LIMITS.items()]
        self._key = ultra(self._environment, "keys", "create", "benchmark", *limits).strip()
        serve = [*ULTRA, "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        self._processes.start("ours", self._cores.pinned(serve), self._environment)
        until(lambda: self._processes.are_up(self.port), "ours listens")

    def address(self, manner: Manner) -> Address:
        return Address(self.port, "/v1/chat/completions", self._key, f"{manner}-canned")

    def what_is_off(self) -> list[str]:
        """Which of limits and usage the answers so far did without: then the figures are of something less."""
        client = Client(self.port)
        try:
            _, _, received = client.ask(self.address("at_once").raw(is_streamed=False))
        finally:
            client.close()
        with psycopg.connect(self._environment["DATABASE_URL"]) as connection:
            is_recorded = connection.execute("SELECT 1 FROM usage WHERE source = 'gateway' LIMIT 1").fetchone()
        off = [] if b"\r\nx-ratelimit-remaining-requests:" in received.lower() else ["limits"]
        return off if is_recorded else [*off, "usage"]

    def _catalog(self) -> dict[str, object]:
        """Each manner a server of its own, and a second model there to fall back on."""
        models = {
            f"{manner}-{name}": {"name": "canned-1", "price": _PRICE, "fallbacks": fallbacks}
            for manner in MANNERS
            for name, fallbacks in (("canned", [f"{manner}-spare"]), ("spare", []))
        }
        return {
            "servers": {manner: {"base_url": f"{self._upstream.base}/{manner}/v1"} for manner in MANNERS},
            "defaults": {"models": ["at_once-canned"]},
            "models": models,
        }
