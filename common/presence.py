"""Where workers say that they are there: a set of names, and a record a name that expires."""

WORKERS_KEY = "ultra:workers"
BEAT_SECONDS = 5
# Three beats: a worker that missed them is not counted on.
EXPIRES_SECONDS = 15


def worker_key(name: str) -> str:
    return f"ultra:worker:{name}"
