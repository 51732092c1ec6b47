"""The queues of GPUs: `gpu.<node>.<n>`, each consumed by a worker that is pinned to that GPU. Pure."""

from collections.abc import Mapping

from common.catalog.entry import ModelEntry
from common.fleet.contracts import Endpoint

PREFIX = "gpu."
# Its workers make every call to a machine of ours, those to models on GPUs too.
LOCAL_QUEUE = "local"


def gpu_queue(node: str, index: int) -> str:
    """The queue of a node's GPU, by nvidia-smi's number."""
    return f"{PREFIX}{node}.{index}"


def is_gpu_queue(queue: str) -> bool:
    return queue.startswith(PREFIX)


def own_queue(entry: ModelEntry) -> str:
    """Where calls to this model are made when no GPU is about."""
    return entry.queue


def queue_for(entry: ModelEntry, endpoint: Endpoint | None, gpu_queues: Mapping[str, str]) -> str:
    """Where a call to this model is made: at the GPU that holds it, if a worker is there for it.

    `endpoint` is where the model answers now, if it does; `gpu_queues` has, by the UUID of their GPU, the queues that
    live workers consume. One that lies on several GPUs has its calls at the first of them with a worker.
    """
    if endpoint is not None:
        for uuid in endpoint.gpu_uuids:
            if uuid in gpu_queues:
                return gpu_queues[uuid]
    return own_queue(entry)


def consumed(queue: str, gpu_queues: Mapping[str, str]) -> str:
    """The queue, or `local` in place of a GPU's whose worker has gone."""
    return queue if not is_gpu_queue(queue) or queue in gpu_queues.values() else LOCAL_QUEUE
