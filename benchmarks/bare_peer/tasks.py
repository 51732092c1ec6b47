"""The peer's Celery side: one task a model, and the chord's body."""

import os
import time

from celery import Celery

app = Celery("bare_peer", broker=os.environ["BARE_REDIS_URL"], backend=os.environ["BARE_REDIS_URL"])
# The one departure from Celery's defaults, in the peer's favour: with prefetching, the first of several
# workers hoards a burst while the others idle. Ours sets it too.
app.conf.worker_prefetch_multiplier = 1

SLOW_MODEL_SECONDS = 1.0


def _generate(model: str, prompt: str) -> str:
    """The mock model: `mock-slow-*` takes a second, every other answers at once, as in config/models.yaml."""
    if model.startswith("mock-slow"):
        time.sleep(SLOW_MODEL_SECONDS)
    return f"{model} on: {prompt}"


@app.task  # type: ignore[untyped-decorator]
def ask(model: str, prompt: str) -> dict[str, str]:
    return {"model": model, "text": _generate(model, prompt)}


@app.task  # type: ignore[untyped-decorator]
def merge(answers: list[dict[str, str]], lead_model: str | None) -> dict[str, object]:
    """Join the answers; with a lead model, ask it about them as well."""
    text = "\n".join(answer["text"] for answer in answers)
    return {"answers": answers, "text": _generate(lead_model, text) if lead_model else text}
