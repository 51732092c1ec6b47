"""What the ledger hands out of a GPU, held against what is really free there."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from common.catalog.local import GIB, MIB
from common.fleet.contracts import Host, Instance, Reservation, RunnerHealth
from tests.scripted_gpus import ScriptedGpus
from worker.lifecycle.planning.ledger import free
from worker.lifecycle.planning.policy import Policy

POLICY = Policy()
HOST = Host("here", UUID(int=1), 1024 * GIB)
AT = datetime(2026, 1, 1, tzinfo=UTC)
TOTAL = 140 * GIB


def instance(name: str, *, given_bytes: int, seen_bytes: int) -> Instance:
    health = RunnerHealth(status="ready", gpu_memory_bytes=seen_bytes)
    reserved = Reservation(GIB, given_bytes, ("GPU-a",))
    return Instance(name, name, 1, "s", "here", reserved, "running", AT, health=health, proved_at=AT)


async def handed_out(gpus: ScriptedGpus, *instances: Instance) -> int:
    return free(HOST, await gpus.read(), instances, POLICY).gpu_bytes["GPU-a"]


async def test_a_context_that_no_runner_tells_of_is_charged_once() -> None:
    gpus = ScriptedGpus({"GPU-a": TOTAL}, clock=lambda: 0.0)
    gpus.take("GPU-a", 16 * GIB + 500 * MIB, "m")
    one = instance("m", given_bytes=16 * GIB, seen_bytes=16 * GIB)
    assert await handed_out(gpus, one) == TOTAL - 16 * GIB - POLICY.gpu_margin_bytes


@given(
    models=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30), st.integers(0, 1500)), max_size=4),
    others=st.integers(0, 20 * 1024),
)
async def test_no_more_is_handed_out_than_is_free_once_all_have_grown_into_what_they_were_given(
    models: list[tuple[int, int, int]], others: int
) -> None:
    gpus = ScriptedGpus({"GPU-a": TOTAL}, clock=lambda: 0.0)
    gpus.take("GPU-a", others * MIB)
    really_free = TOTAL - others * MIB
    running = []
    for number, (given_gib, seen_gib, context_mib) in enumerate(models):
        name = f"m{number}"
        gpus.take("GPU-a", seen_gib * GIB + context_mib * MIB, name)
        running.append(instance(name, given_bytes=given_gib * GIB, seen_bytes=seen_gib * GIB))
        really_free -= max(given_gib, seen_gib) * GIB + context_mib * MIB
    assert await handed_out(gpus, *running) <= really_free


async def test_what_nvml_still_counts_of_a_model_that_is_gone_is_handed_to_nobody() -> None:
    now = 0.0
    gpus = ScriptedGpus({"GPU-a": TOTAL}, clock=lambda: now, lag_seconds=3)
    gpus.take("GPU-a", 40 * GIB, "m")
    now = 10.0
    gpus.take("GPU-a", 0, "m")  # killed, and its container is not observed any more
    now = 12.0
    assert await handed_out(gpus) == TOTAL - 40 * GIB
    now = 13.0
    assert await handed_out(gpus) == TOTAL
