"""Wishes and what a node's lifecycle worker writes, on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.catalog.local import GIB, LocalModel
from common.database.connect import connect
from common.fleet import wishes
from common.fleet.contracts import (
    NODE_FORGOTTEN_SECONDS,
    NODE_LOST_SECONDS,
    Desired,
    Fault,
    Gpu,
    GpuRoom,
    Host,
    Instance,
    Node,
    Reservation,
    RunnerHealth,
    State,
)
from common.fleet.statements import KEPT_EVENTS
from common.fleet.store import FleetStore

MODEL = "local-a"
ENTRY = LocalModel.model_validate(
    {"id": MODEL, "source": {"path": "a.gguf"}, "engine": "llamacpp", "memory": "2 GiB", "gpu": "auto", "ttl": 7}
)
FAULT = Fault("crashed", "It crashed.")


class Fleet:
    """Two nodes' stores, and everybody else."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.here, self.there = FleetStore(engine, "here"), FleetStore(engine, "there")

    async def run(self, statement: TextClause) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return result.mappings().all() if result.returns_rows else []

    async def want(self, model: str = MODEL) -> datetime:
        wanted_at: datetime = (await self.run(wishes.want(model)))[0]["wanted_at"]
        return wanted_at

    async def row(self) -> Desired:
        [row] = (await self.here.read({MODEL: ENTRY})).desired
        return row

    async def fail(self, state: State = State.QUEUED, generation: int | None = 1, failures: int = 1) -> bool:
        return await self.here.fail(
            MODEL, FAULT, generation=generation, spec="s", state=state, failures=failures, retry_at=None
        )

    async def serve(self) -> Instance:
        """A container of the model's first generation, ready."""
        await self.want()
        await self.here.claim(MODEL)
        assert await self.here.raise_generation(MODEL, 1)
        instance = a_container("c1")
        await self.here.observe([instance], {"c1": "http://c1"})
        await self.here.proved("c1")
        await self.here.show(MODEL, State.READY, None)
        return instance

    async def look(self) -> None:
        """A round of `here`, which has no container."""
        host, account = Host("here", UUID(int=1), 8 * GIB), Node("here", datetime.now(UTC), 6 * GIB, 5 * GIB)
        await self.here.observe([], {})
        await self.here.report(host, [], account)

    async def away_for(self, seconds: float) -> None:
        """Nothing was heard of anybody for so long."""
        for table in ("nodes", "gpus", "instances"):
            past = text(f"UPDATE {table} SET seen_at = seen_at - make_interval(secs => :seconds)")  # noqa: S608
            await self.run(past.bindparams(seconds=seconds))

    async def counts(self) -> dict[str, int]:
        return {
            table: (await self.run(text(f"SELECT count(*) AS n FROM {table}")))[0]["n"]  # noqa: S608
            for table in ("nodes", "gpus", "instances")
        }


def a_container(name: str, **fields: Any) -> Instance:
    return replace(
        Instance(
            container=name, model=MODEL, generation=1, spec="s", node="here", status="running",
            reserved=Reservation(GIB, 2 * GIB, ("GPU-0",)), created_at=datetime.now(UTC),
            health=RunnerHealth(status="ready", idle_seconds=1.5),
        ),
        **fields,
    )  # fmt: skip


@pytest.fixture
async def fleet(postgres_url: str) -> AsyncIterator[Fleet]:
    engine = connect(postgres_url, pool_size=8)
    yield Fleet(engine)
    await engine.dispose()


async def test_an_installation_has_one_id_whoever_asks_first(fleet: Fleet) -> None:
    ids = await asyncio.gather(*(store.installation() for store in (fleet.here, fleet.there) * 4))
    assert len(set(ids)) == 1
    assert isinstance(ids[0], UUID)


async def test_fifty_who_ask_at_once_are_one_wish(fleet: Fleet) -> None:
    asked = await asyncio.gather(*(fleet.want() for _ in range(50)))
    row = await fleet.row()
    assert (row.is_wanted, row.state, row.wanted_at) == (True, State.QUEUED, max(asked))
    assert row.queued_at == min(asked), "who asks again does not go to the end of the line"


async def test_a_row_and_its_entry_are_what_a_plan_takes(fleet: Fleet) -> None:
    await fleet.want()
    row = await fleet.row()
    assert (row.spec, row.memory_bytes, row.host_memory_bytes) == (ENTRY.spec_hash, 2 * GIB, 2 * GIB)
    assert (row.gpu, row.ttl_seconds, row.drain_seconds) == ("auto", 7, 30)
    await fleet.run(wishes.unwant(MODEL, drain_seconds=5))
    assert (await fleet.row()).drain_seconds == 5
    [gone] = (await fleet.here.read({})).desired
    assert gone.spec is None


async def test_asking_anew_after_a_failure_goes_to_the_end_of_the_line_and_waits_for_another_answer(
    fleet: Fleet,
) -> None:
    first = await fleet.want()
    await fleet.here.claim(MODEL)
    await fleet.fail(State.FAILED)
    second = await fleet.want()
    row = await fleet.row()
    assert row.state is State.FAILED
    assert row.failed_at is not None
    assert row.queued_at is not None
    assert first < row.failed_at < min(row.queued_at, second)


async def test_of_two_nodes_one_claims(fleet: Fleet) -> None:
    await fleet.want()
    assert sorted(await asyncio.gather(fleet.here.claim(MODEL), fleet.there.claim(MODEL))) == [False, True]


async def test_a_claim_is_given_up_by_its_owner_or_in_the_name_of_a_lost_one(fleet: Fleet) -> None:
    await fleet.want()
    await fleet.here.claim(MODEL)
    assert not await fleet.there.release(MODEL, "elsewhere")
    assert await fleet.there.release(MODEL, "here")
    assert await fleet.there.claim(MODEL)
    assert not await fleet.here.show(MODEL, State.STARTING, None), "another node's"


async def test_a_generation_is_raised_once(fleet: Fleet) -> None:
    await fleet.want()
    assert not await fleet.here.raise_generation(MODEL, 1), "not claimed"
    await fleet.here.claim(MODEL)
    assert sorted(await asyncio.gather(*(fleet.here.raise_generation(MODEL, 1) for _ in range(4)))) == [False] * 3 + [
        True
    ]
    assert not await fleet.here.raise_generation(MODEL, 3)


async def test_no_container_is_made_for_who_was_told_to_stop_meanwhile(fleet: Fleet) -> None:
    await fleet.want()
    await fleet.here.claim(MODEL)
    await fleet.run(wishes.unwant(MODEL))
    assert not await fleet.here.raise_generation(MODEL, 1)


async def test_who_asks_while_it_is_retired_keeps_it(fleet: Fleet) -> None:
    wanted_at = await fleet.want()
    await fleet.here.claim(MODEL)
    later = await fleet.want()
    assert not await fleet.here.retire(MODEL, wanted_at, "Idle.")
    assert await fleet.here.retire(MODEL, later, "Idle.")
    row = await fleet.row()
    assert (row.is_wanted, row.reason, row.queued_at) == (False, "Idle.", None)


async def test_a_wish_that_comes_while_the_last_container_leaves_is_not_shown_stopped(fleet: Fleet) -> None:
    await fleet.want()
    await fleet.here.claim(MODEL)
    assert not await fleet.here.show(MODEL, State.STOPPED, None)
    await fleet.run(wishes.unwant(MODEL))
    assert await fleet.here.show(MODEL, State.STOPPED, None)
    row = await fleet.row()
    assert (row.state, row.node) == (State.STOPPED, None)


async def test_a_failure_is_counted_once_a_generation(fleet: Fleet) -> None:
    await fleet.want()
    await fleet.here.claim(MODEL)
    assert await fleet.fail()
    assert not await fleet.fail(failures=2)
    assert await fleet.fail(generation=2, failures=2)
    row = await fleet.row()
    assert (row.failures, row.failed_generation, row.failed_spec, row.fault) == (2, 2, "s", FAULT)
    assert await fleet.here.recovered(MODEL)
    row = await fleet.row()
    assert (row.failures, row.fault, row.failed_at) == (0, None, None)


async def test_a_refusal_is_no_answer_to_who_asked_after_it_was_decided(fleet: Fleet) -> None:
    wanted_at = await fleet.want()
    later = await fleet.want()
    assert not await fleet.here.refuse(MODEL, FAULT, wanted_at)
    assert await fleet.here.refuse(MODEL, FAULT, later)
    row = await fleet.row()
    assert (row.state, row.fault, row.reason) == (State.FAILED, FAULT, "It crashed.")


async def test_a_model_is_ready_where_its_own_container_proved_itself_and_was_not_told_to_stop(fleet: Fleet) -> None:
    instance = await fleet.serve()
    [seen] = await fleet.run(wishes.look([MODEL]))
    assert (seen["is_ready"], seen["base_url"], seen["gpu_uuids"]) == (True, "http://c1", ["GPU-0"])
    assert seen["health"]["idle_seconds"] == 1.5
    await fleet.here.stopping("c1", "Idle.", datetime.now(UTC))
    [seen] = await fleet.run(wishes.look())
    assert not seen["is_ready"]
    await fleet.here.raise_generation(MODEL, 2)
    second = replace(instance, container="c2", generation=2)
    await fleet.here.observe([instance, second], {"c2": "http://c2"})
    [seen] = await fleet.run(wishes.look())
    assert (seen["container"], seen["is_ready"]) == ("c2", False)


async def test_what_docker_cannot_remember_survives_every_look(fleet: Fleet) -> None:
    instance = await fleet.serve()
    until = datetime.now(UTC) + timedelta(seconds=30)
    await fleet.here.stopping("c1", "Idle.", until)
    await fleet.here.stopping("c1", "Killed.", until - timedelta(seconds=20))
    await fleet.here.observe([replace(instance, status="exited")], {})
    memory = (await fleet.here.read({})).memories["c1"]
    assert memory.proved_at is not None
    assert (memory.stop_reason, memory.stop_by) == ("Idle.", until - timedelta(seconds=20))


async def test_what_is_remembered_of_a_lost_nodes_container_is_known_to_whoever_sees_it(fleet: Fleet) -> None:
    until = datetime.now(UTC) + timedelta(seconds=10)
    await fleet.here.observe([a_container("left", node="lost")], {})
    await fleet.here.stopping("left", "No model's container any more.", until)
    memory = (await fleet.here.read({})).memories["left"]
    assert (memory.stop_reason, memory.stop_by) == ("No model's container any more.", until)


async def test_rows_of_containers_that_are_gone_go_too_and_those_of_other_nodes_stay(fleet: Fleet) -> None:
    await fleet.here.observe([a_container("c1"), a_container("c2")], {})
    await fleet.there.observe([a_container("c3", node="there")], {})
    await fleet.here.observe([a_container("c2")], {})
    rows = await fleet.run(text("SELECT container FROM instances ORDER BY 1"))
    assert [row["container"] for row in rows] == ["c2", "c3"]
    await fleet.here.forget("c2")
    assert list((await fleet.here.read({})).memories) == ["c3"]


async def test_nodes_see_each_other_and_a_gpu_that_is_gone_is_seen_no_more(fleet: Fleet) -> None:
    host = Host("here", UUID(int=1), 8 * GIB, 7 * GIB)
    gpus = [Gpu(f"GPU-{index}", index, "H", 80 * GIB, GIB, 0.5) for index in (1, 0)]
    account = Node("here", datetime.now(UTC), 6 * GIB, 5 * GIB, (GpuRoom(2, 1), GpuRoom(4, 3)))
    await fleet.here.report(host, gpus, account)
    assert (await fleet.here.read({})).peers == ()
    [peer] = (await fleet.there.read({})).peers
    assert (peer.name, peer.capacity_bytes, peer.free_bytes) == ("here", 6 * GIB, 5 * GIB)
    assert peer.gpus == (GpuRoom(4, 3), GpuRoom(2, 1))
    await fleet.here.report(host, gpus[:1], replace(account, gpus=account.gpus[:1]))
    [peer] = (await fleet.there.read({})).peers
    assert peer.gpus == (GpuRoom(2, 1),)
    assert [row["name"] for row in await fleet.run(wishes.live_nodes())] == ["here"]
    await fleet.away_for(NODE_LOST_SECONDS)
    assert await fleet.run(wishes.live_nodes()) == []


async def test_a_node_that_is_gone_for_good_is_forgotten_with_all_that_was_on_it(fleet: Fleet) -> None:
    host, account = Host("there", UUID(int=1), 8 * GIB), Node("there", datetime.now(UTC), 6 * GIB, 5 * GIB)
    gpu = Gpu("GPU-0", 0, "H", 80 * GIB, GIB)
    await fleet.there.report(host, [gpu], replace(account, gpus=(GpuRoom(2, 1),)))
    await fleet.there.observe([a_container("c1", node="there")], {})
    await fleet.away_for(NODE_FORGOTTEN_SECONDS - 60)
    await fleet.look()
    assert await fleet.counts() == {"nodes": 2, "gpus": 1, "instances": 1}
    await fleet.away_for(120)
    await fleet.look()
    assert await fleet.counts() == {"nodes": 1, "gpus": 0, "instances": 0}


async def test_a_forgotten_container_that_is_seen_again_is_no_other(fleet: Fleet) -> None:
    instance = await fleet.serve()
    await fleet.away_for(2 * NODE_FORGOTTEN_SECONDS)
    await fleet.here.observe([instance], {"c1": "http://c1"})
    [seen] = await fleet.run(wishes.look())
    assert seen["is_ready"]


async def test_of_a_models_history_the_newest_is_kept(fleet: Fleet) -> None:
    past = text(
        "INSERT INTO model_events (id, model, kind, generation)"
        " SELECT lpad(to_hex(2 * n + (m = 'local-b')::int), 32, '0')::uuid, m, 'ready', n"
        " FROM generate_series(1, :kept) n, unnest(ARRAY['local-a', 'local-b']) m"
    )
    await fleet.run(past.bindparams(kept=KEPT_EVENTS))
    for generation in (KEPT_EVENTS + 1, KEPT_EVENTS + 2):
        await fleet.here.note(MODEL, "ready", generation=generation)
    rows = await fleet.run(text("SELECT model, generation FROM model_events ORDER BY model, generation"))
    kept = [[row["generation"] for row in rows if row["model"] == model] for model in (MODEL, "local-b")]
    assert kept == [list(range(3, KEPT_EVENTS + 3)), list(range(1, KEPT_EVENTS + 1))]


async def test_the_most_that_was_seen_is_remembered(fleet: Fleet) -> None:
    await fleet.want()
    await fleet.here.claim(MODEL)
    for seen in (3 * GIB, 5 * GIB, 4 * GIB):
        await fleet.here.remember_peak(MODEL, seen)
    assert (await fleet.row()).seen_bytes == 5 * GIB


async def test_starts_that_follow_a_failure_are_restarts(fleet: Fleet) -> None:
    await fleet.serve()
    await fleet.fail()
    await fleet.here.raise_generation(MODEL, 2)
    [seen] = await fleet.run(wishes.look())
    assert seen["restarts"] == 1
