"""The bare peer, put together: one API process and the same number of workers as ours."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import orjson
import redis

from benchmarks.processes import Processes, free_port
from benchmarks.systems import PROMPT, until


class BareSystem:
    """`concurrency` is threads a worker process."""

    name = "bare"
    submit_path = "/compare"

    def __init__(self, log_dir: Path, redis_url: str, *, workers: int, concurrency: int) -> None:
        self.port = free_port()
        self.processes = Processes(log_dir)
        self._redis_url = redis_url
        self._redis = redis.Redis.from_url(redis_url)
        self._workers, self._concurrency = workers, concurrency

    def start(self) -> None:
        env = {"BARE_REDIS_URL": self._redis_url}
        serve = "uvicorn benchmarks.bare_peer.app:app --host 127.0.0.1 --log-level warning --no-access-log"
        serve += f" --loop uvloop --http httptools --port {self.port}"
        self.processes.start("bare-api", [sys.executable, "-m", *serve.split()], env)
        work = "celery -A benchmarks.bare_peer.tasks worker --pool threads --loglevel WARNING"
        work += f" --without-gossip --without-mingle --concurrency {self._concurrency}"
        for number in range(self._workers):
            command = [sys.executable, "-m", *work.split(), "--hostname", f"bare{number}@localhost"]
            self.processes.start(f"bare-worker{number}", command, env)
        until(lambda: self.processes.are_up(self.port), "the bare API listens")

    def body(self, models: Sequence[str], *, is_merged: bool) -> str:
        comparison = {"prompt": PROMPT, "models": models, "lead_model": models[0] if is_merged else None}
        return orjson.dumps(comparison).decode()

    def show_path(self, comparison_id: str) -> str:
        return f"/compare/{comparison_id}"

    def is_finished(self, document: dict[str, object]) -> bool:
        return document["status"] in {"SUCCESS", "FAILURE"}

    def finished_at(self, ids: Sequence[str]) -> dict[str, float]:
        stored = self._redis.mget([f"celery-task-meta-{id_}" for id_ in ids]) if ids else []
        metas = {id_: orjson.loads(meta) for id_, meta in zip(ids, stored, strict=True) if meta}
        for id_, meta in metas.items():
            if meta["status"] != "SUCCESS" or len(meta["result"]["answers"]) != 5:
                raise RuntimeError(f"bare comparison {id_} went wrong: {meta}")
        return {id_: datetime.fromisoformat(meta["date_done"]).timestamp() for id_, meta in metas.items()}

    def purge(self) -> None:
        self._redis.delete("celery")
        until(lambda: self._redis.hlen("unacked") == 0, "the bare workers are idle")
        # without the bindings the API could not publish: kombu declares them once a process
        doomed = [key for key in self._redis.scan_iter(count=5000) if not key.startswith(b"_kombu.binding.")]
        for start in range(0, len(doomed), 5000):
            self._redis.unlink(*doomed[start : start + 5000])
