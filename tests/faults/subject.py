"""Our own processes with traps: a worker that kills itself where it is told to, and keeps a journal.

    python -m tests.faults.subject worker KIND --name NODE --threads N
    python -m tests.faults.subject api --port PORT

A trap is a file named after a point in the code; whoever removes it first dies there. The journal says what the
process believes it recorded, for the checker to hold against Postgres. A sabotage takes out what keeps promises.
"""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from celery.worker.request import Request
from sqlalchemy import text

import worker.tasks
from api import server
from api.submit import Submissions
from common.catalog.entry import ModelEntry
from common.database import calls
from common.doorbell import send_advance
from common.settings import load_settings
from worker.asking import Asker
from worker.chords import PostgresChords
from worker.kinds import KINDS
from worker.recovery import Found, Sweep
from worker.start import run_worker
from worker.store import Claim, Ending, Store

# The points of the matrix, in the order in which a call passes them.
POINTS = (
    "after-pop",
    "after-claim",
    "after-result-commit",
    "before-chord-body",
    "after-chord-body",
    "before-ack",
    "before-dispatch",
    "after-dispatch",
)
POISON = "poison"


class Subject:
    """What this process was told: where its traps lie, where its journal goes."""

    def __init__(self, directory: Path) -> None:
        self._traps = directory / "traps"
        self._journal = os.open(
            directory / "journal" / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        )

    def at(self, point: str) -> None:
        """Die here if a trap is set for this point."""
        try:
            os.unlink(self._traps / point)  # noqa: PTH108  # on the hot path
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def note(self, **entry: Any) -> None:
        os.write(self._journal, orjson.dumps(entry | {"at": time.time()}) + b"\n")


def trap_the_store(subject: Subject) -> None:
    """Around what a worker writes to Postgres; each wrapper does what the method did."""
    claim, finish, load = Store.claim, Store.finish_call, Store.load_job

    async def trapped_claim(self: Store, call_id: Any) -> Claim | None:
        subject.at("after-pop")
        claimed = await claim(self, call_id)
        if claimed is not None:
            subject.at("after-claim")
        return claimed

    async def trapped_finish(self: Store, ending: Ending) -> int | None:
        pending = await finish(self, ending)
        if pending is not None:
            subject.at("after-result-commit")
        subject.note(call=str(ending.call_id), attempt=ending.attempt, accepted=pending is not None)
        return pending

    async def noted_load(self: Store, job_id: Any) -> Any:
        job = await load(self, job_id)
        if job is None:
            subject.note(unknown_job=str(job_id))
        return job

    Store.claim, Store.finish_call, Store.load_job = trapped_claim, trapped_finish, noted_load  # type: ignore[method-assign]


def trap_the_broker(subject: Subject) -> None:
    """Around what a worker says to the broker."""
    chord_part, acknowledge = PostgresChords.on_chord_part_return, Request.acknowledge
    send_rounds = worker.tasks.send_rounds

    def trapped_chord_part(self: PostgresChords, request: Any, state: Any, result: Any, **kwargs: Any) -> None:
        if result is True:
            subject.at("before-chord-body")
        chord_part(self, request, state, result, **kwargs)
        if result is True:
            subject.at("after-chord-body")

    def trapped_acknowledge(self: Any) -> None:
        subject.at("before-ack")
        acknowledge(self)

    def trapped_send_rounds(app: Any, rounds: Any) -> None:
        if rounds:
            subject.at("before-dispatch")
        send_rounds(app, rounds)
        if rounds:
            subject.at("after-dispatch")

    PostgresChords.on_chord_part_return = trapped_chord_part  # type: ignore[method-assign]
    Request.acknowledge = trapped_acknowledge
    worker.tasks.send_rounds = trapped_send_rounds


def poison_the_asking() -> None:
    """A question to the poisonous model kills who asks it."""
    ask = Asker.ask

    async def poisoned_ask(self: Asker, claimed: Claim, entry: ModelEntry) -> Any:
        if entry.name == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return await ask(self, claimed, entry)

    Asker.ask = poisoned_ask  # type: ignore[method-assign]


def remove_fencing() -> None:
    """Results and heartbeats count whoever they come from."""
    finish = calls._FINISH.text.replace("c.attempt = e.attempt AND ", "")
    heartbeat = calls._HEARTBEAT.text.replace("USING (id, attempt)", "USING (id)")
    assert "e.attempt AND" not in finish
    assert "(id, attempt)\n" not in heartbeat
    calls._FINISH = text(finish).bindparams(*calls._FINISH._bindparams.values())
    calls._HEARTBEAT = text(heartbeat).bindparams(*calls._HEARTBEAT._bindparams.values())


def remove_sweep() -> None:
    """Nobody looks for what got lost."""

    async def nothing(self: Sweep) -> Found:
        return Found()

    Sweep.once = nothing  # type: ignore[method-assign]


def remove_publish_after_commit() -> None:
    """The broker is rung for a job before it is stored."""
    commit = Submissions._commit

    async def ring_first(self: Submissions, batch: Any) -> Any:
        await asyncio.to_thread(send_advance, self._doorbell._app, [str(one.job_id) for one in batch])
        await asyncio.sleep(0.02)
        return await commit(self, batch)

    Submissions._commit = ring_first  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    "fencing": remove_fencing,
    "sweep": remove_sweep,
    "publish-after-commit": remove_publish_after_commit,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    as_worker = what.add_parser("worker")
    as_worker.add_argument("kind", choices=KINDS)
    as_worker.add_argument("--name", required=True)
    as_worker.add_argument("--threads", type=int)
    as_api = what.add_parser("api")
    as_api.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    subject = Subject(Path(os.environ["FAULTS_DIRECTORY"]))
    trap_the_store(subject)
    trap_the_broker(subject)
    poison_the_asking()
    if sabotage := os.environ.get("FAULTS_SABOTAGE"):
        SABOTAGES[sabotage]()
    if given.what == "api":
        server.run(load_settings(), ["127.0.0.1"], given.port)
        return 0
    return run_worker(load_settings(), KINDS[given.kind], threads=given.threads, name=given.name)


if __name__ == "__main__":
    raise SystemExit(main())
