"""`ultra worker`, which dies of the next step of every job whose id stands in the file that FATAL names.

As a step that takes all memory does, or a fault in a C library.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from cli.main import app
from worker.store import Store

fatal = Path(os.environ["FATAL"])
load = Store.load_job


def is_fatal(job_id: UUID) -> bool:
    return str(job_id) in fatal.read_text()


async def load_or_die(store: Store, job_id: UUID) -> Any:
    if is_fatal(job_id):
        os.kill(os.getpid(), signal.SIGKILL)
    return await load(store, job_id)


Store.load_job = load_or_die  # type: ignore[method-assign]

if __name__ == "__main__":
    app(["worker", *sys.argv[1:]])
