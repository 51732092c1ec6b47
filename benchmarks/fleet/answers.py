"""Warm: what a short answer costs through us, beside the very same container asked directly, in turn."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.fleet.client import Client, Reply, said
from benchmarks.fleet.figures import Added
from benchmarks.fleet.ours import MODEL, Ours
from benchmarks.fleet.stages import Trip

JOB_PLANE_MILLISECONDS = 20.0
GATEWAY_MILLISECONDS = 2.0
# imports, pools, prepared statements, the container's cache of the prompt: nobody measures a first time
WARM_UP = 60

QUESTION = "Name one colour."
# the same answer every time, and a short one: what is added is to be seen beside it
_OPTIONS: dict[str, Any] = {"max_tokens": 4, "temperature": 0}
INFERENCE = {"model_id": MODEL, "prompt": QUESTION, **_OPTIONS}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], **_OPTIONS}


@dataclass(frozen=True, slots=True)
class Path:
    """A way to ask: the same path of ours and of the container."""

    name: str
    path: str
    body: dict[str, Any]
    limit_milliseconds: float

    def ask(self, client: Client) -> Reply:
        reply = client.post(self.path, self.body)
        said(reply)
        return reply


INFERENCE_PATH = Path("warm: `/inference`, by the job plane", "/inference", INFERENCE, JOB_PLANE_MILLISECONDS)
CHAT_PATH = Path("warm: `/v1/chat/completions`, by the gateway", "/v1/chat/completions", CHAT, GATEWAY_MILLISECONDS)
PATHS = (INFERENCE_PATH, CHAT_PATH)


def measured(ours: Ours, path: Path, pairs: int, step: Callable[[], None]) -> tuple[Added, Sequence[Trip]]:
    """The times of both, and when each job of ours was asked for and answered. The model has to be ready.

    Raises:
        RuntimeError: an answer was none, or the two ways gave different ones.
    """
    figure, trips = Added(path.name, "ms", path.limit_milliseconds), []
    with ours.client() as through, Client(*ours.instance()) as direct:
        for _ in range(WARM_UP):
            if _text(path.ask(through)) != _text(path.ask(direct)):
                raise RuntimeError(f"{path.path}: ours and the container answer differently")
        for number in range(pairs):
            milliseconds: dict[str, float] = {}
            for name, client in (("ours", through), ("plain", direct))[:: 1 if number % 2 == 0 else -1]:
                asked_at = time.time()
                reply = path.ask(client)
                milliseconds[name] = 1000 * reply.seconds
                if "job_id" in reply.document:
                    trips.append(Trip(reply.document["job_id"], asked_at, asked_at + reply.seconds))
            figure.add(milliseconds["ours"], milliseconds["plain"])
            step()
    return figure, trips


def _text(reply: Reply) -> str:
    """What the model said."""
    document = reply.document
    text: str = document["response"] if "response" in document else document["choices"][0]["message"]["content"]
    return text
