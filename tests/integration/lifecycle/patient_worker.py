"""`ultra worker lifecycle`, which gives the models that it takes along a minute, where others have seconds."""

import sys

from cli.main import app
from worker.lifecycle import worker

worker.LAST_DRAIN_SECONDS = worker.LEAVE_SECONDS = 60

if __name__ == "__main__":
    app(["worker", "lifecycle", *sys.argv[1:]])
