"""A container as the plan sees it: what Docker says, in the fleet's words. Pure."""

from collections.abc import Iterable

import orjson

from common.fleet.contracts import (
    FAULT_OF_EXIT,
    LABEL_GENERATION,
    LABEL_GPU_BYTES,
    LABEL_GPUS,
    LABEL_HOST_BYTES,
    LABEL_MODEL,
    LABEL_NODE,
    LABEL_SPEC,
    RUNNER_PORT,
    Fault,
    Instance,
    Reservation,
    RunnerHealth,
)
from worker.lifecycle.container import Container
from worker.lifecycle.docker_streams import LogLine
from worker.lifecycle.template import Reach

# Of what a program said last, so much explains its end.
MAX_LAST_WORDS = 5
MAX_MESSAGE_CHARACTERS = 1000
KILLED = 137


def is_instance(container: Container) -> bool:
    """Whether it serves a model: others of ours pull weights."""
    return LABEL_MODEL in container.labels and LABEL_GENERATION in container.labels


def instance_of(container: Container, *, health: RunnerHealth | None = None, fault: Fault | None = None) -> Instance:
    """What Docker and the runner tell of an instance; its row knows more."""
    labels = container.labels
    return Instance(
        container=container.id,
        model=labels[LABEL_MODEL],
        generation=int(labels[LABEL_GENERATION]),
        spec=labels.get(LABEL_SPEC, ""),
        node=labels.get(LABEL_NODE, ""),
        reserved=Reservation(
            int(labels.get(LABEL_HOST_BYTES, "0")),
            int(labels.get(LABEL_GPU_BYTES, "0")),
            tuple(filter(None, labels.get(LABEL_GPUS, "").split(","))),
        ),
        status=container.status,
        created_at=container.created_at,
        started_at=container.started_at,
        health=health,
        fault=fault,
        exit_code=container.exit_code,
    )


def base_url_of(container: Container, reach: Reach) -> str | None:
    """Where a running container is reached; None if it is not."""
    if container.status != "running":
        return None
    match reach:
        case "name":
            return f"http://{container.name}:{RUNNER_PORT}"
        case "address":
            address = next(iter(container.addresses.values()), None)
            return None if address is None else f"http://{address}:{RUNNER_PORT}"
        case "published":
            port = container.loopback_ports.get(RUNNER_PORT)
            return None if port is None else f"http://127.0.0.1:{port}"


def fault_of_end(container: Container, last_words: Iterable[LogLine]) -> Fault:
    """Why a container ended: by its own last words if it left any, else by its exit code."""
    if container.error:  # it never ran
        return Fault("cannot_start", f"The engine could not start it: {container.error}"[:MAX_MESSAGE_CHARACTERS])
    said = [line.text for line in last_words if line.text.strip()]
    code, is_fatal = FAULT_OF_EXIT.get(container.exit_code or 0, ("crashed", False))
    if container.is_oom_killed:
        return Fault("out_of_memory", "It took more memory than its entry says, and was killed: raise `memory`.")
    if (message := _fatal_message(said)) is not None:
        return Fault(code, message[:MAX_MESSAGE_CHARACTERS], is_fatal)
    if container.exit_code == KILLED:
        return Fault("killed", "Somebody or something killed it (exit code 137).")
    how = f"It ended by itself with exit code {container.exit_code}"
    words = " / ".join(said[-MAX_LAST_WORDS:])
    return Fault(code, f"{how}; it said last: {words}"[:MAX_MESSAGE_CHARACTERS] if said else f"{how}.", is_fatal)


def _fatal_message(said: Iterable[str]) -> str | None:
    """The message of the last `{"fatal": code, "message": …}`, as runners write it."""
    found = None
    for line in said:
        if line.startswith("{"):
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if "fatal" in document:
                found = str(document.get("message") or document["fatal"])
    return found
