"""The kinds of worker: what each consumes, and with how many threads."""

from dataclasses import dataclass

from common.doorbell import CONTROL_QUEUE
from common.fleet.queues import is_gpu_queue


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of worker process. `threads` is its default concurrency, `gpu` the UUID of the one it is pinned to."""

    name: str
    queues: tuple[str, ...]
    threads: int
    gpu: str | None = None

    @property
    def does_sweep(self) -> bool:
        return CONTROL_QUEUE in self.queues

    @property
    def gpu_queue(self) -> str | None:
        """The queue of its GPU, for a worker of one."""
        return next((queue for queue in self.queues if is_gpu_queue(queue)), None)


KINDS = {
    kind.name: kind
    for kind in (
        # Steps of a few milliseconds, gathered into batches on the loop: more threads only contend.
        Kind("control", ("control",), threads=4),
        # A thread here waits for a server somewhere else; the loop does the talking.
        Kind("cloud", ("cloud",), threads=1000),
        # A local server works on a few requests at a time; the others wait in its line.
        Kind("local", ("local",), threads=16),
        Kind("worker", ("control", "cloud", "local"), threads=256),
    )
}
