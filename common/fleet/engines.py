"""What the servers of the engines have in common, and what not."""

from common.catalog.local import TAGGED_ENGINES, Engine, LocalModel

# Ours keep the runner's contract; of the others only OpenAI's interface is known.
RUNNERS: frozenset[Engine] = frozenset({"transformers", "llamacpp"})


def name_in_container(entry: LocalModel) -> str:
    """What the server in the container calls its model."""
    if entry.engine in RUNNERS:
        return entry.id
    return entry.source.tag or entry.name if entry.engine in TAGGED_ENGINES else entry.name
