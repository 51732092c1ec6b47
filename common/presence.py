"""Where workers say that they are there: a set of names, and a record a name that expires.

A record says which queues the worker is bound to, and whether it proves to consume them (`worker/canary.py`).
"""

WORKERS_KEY = "ultra:workers"
BEAT_SECONDS = 5
# Three beats: a worker that missed them is not counted on.
EXPIRES_SECONDS = 15
# The field of a record that is true while the worker's canaries come back.
CONSUMES = "consumes"


def worker_key(name: str) -> str:
    return f"ultra:worker:{name}"
