"""`ultra worker`, with a consumer that goes deaf: it stays connected, and asks the broker for nothing more.

It is deaf while its process id, or `all`, stands in the file that DEAF names. As Celery is after a reconnection
that lost its queues: connected, answering, and never popping again.
"""

import os
import sys
from pathlib import Path
from typing import Any

from kombu.transport.redis import Channel

from cli.main import app

deaf = Path(os.environ["DEAF"])
pop = Channel._brpop_start


def pop_unless_deaf(channel: Any, *arguments: Any, **named: Any) -> None:
    if not (deaf.exists() and deaf.read_text() in {"all", str(os.getpid())}):
        pop(channel, *arguments, **named)


Channel._brpop_start = pop_unless_deaf

if __name__ == "__main__":
    app(["worker", *sys.argv[1:]])
