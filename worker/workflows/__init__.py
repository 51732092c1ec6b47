"""The recipes: pure generators that yield calls and return an outcome. No I/O, no clock, no randomness
but what the request carries.
"""


def register_all() -> None:
    """Make every recipe known; importing one registers it."""
    from worker.workflows import comparative, factual, inference

    del comparative, factual, inference
