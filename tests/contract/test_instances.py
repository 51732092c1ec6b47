"""The adapter of models in containers, against servers that leave."""

from collections.abc import AsyncIterator

import pytest

from common.contracts.messages import Message
from common.errors import BadUpstream, InstanceGone, Unavailable
from common.fleet.contracts import Endpoint
from common.fleet.fleet import Fleet
from common.providers.complete import complete
from common.providers.local import Containers, InContainer
from common.providers.protocol import EmbeddingRequest, ModelRequest
from tests.contract.scripted_instance import TEXT, ScriptedInstance
from tests.unit.common.fleet.scripted_rows import ScriptedRows, local_model

ENTRY = local_model()
ASK = ModelRequest(model=ENTRY.id, messages=(Message(role="user", content="Why?"),), timeout_seconds=5)
TEXTS = EmbeddingRequest(ENTRY.id, ("a",))


@pytest.fixture
async def container() -> AsyncIterator[ScriptedInstance]:
    async with ScriptedInstance(ENTRY.id).running() as running:
        yield running


@pytest.fixture
def rows(container: ScriptedInstance) -> ScriptedRows:
    """By which the container is ready."""
    rows = ScriptedRows()
    rows.be_ready(ENTRY.id, at=container.base_url)
    return rows


@pytest.fixture
async def fleet(rows: ScriptedRows) -> AsyncIterator[Fleet]:
    fleet = Fleet(rows, look_seconds=0.001)
    yield fleet
    await fleet.close()


@pytest.fixture
async def containers(fleet: Fleet) -> AsyncIterator[Containers]:
    made = Containers(fleet)
    yield made
    await made.close()


@pytest.fixture
def model(containers: Containers) -> InContainer:
    return containers.of(ENTRY)


def is_believed(fleet: Fleet) -> bool:
    return fleet.endpoint(ENTRY.id) is not None


async def test_a_model_is_asked_by_its_id(model: InContainer, container: ScriptedInstance, fleet: Fleet) -> None:
    answer = await complete(model, ASK)
    assert (answer.text, answer.finish_reason) == (TEXT, "stop")
    assert container.asked[0]["model"] == ENTRY.id
    assert is_believed(fleet)


async def test_a_model_embeds(model: InContainer) -> None:
    assert (await model.embed(TEXTS)).vectors == ((1.0, 0.0),)


@pytest.mark.parametrize("code", ["draining", "loading"])
async def test_one_that_leaves_or_is_not_there_yet_has_done_nothing(
    model: InContainer, container: ScriptedInstance, fleet: Fleet, code: str
) -> None:
    container.refusing = code
    with pytest.raises(InstanceGone):
        await complete(model, ASK)
    assert not is_believed(fleet)


async def test_one_that_is_busy_is_there(model: InContainer, container: ScriptedInstance, fleet: Fleet) -> None:
    container.refusing = "busy"
    with pytest.raises(Unavailable):
        await complete(model, ASK)
    assert is_believed(fleet)


async def test_an_address_that_changed_hands_is_nobody_s(
    model: InContainer, container: ScriptedInstance, fleet: Fleet
) -> None:
    container.model = "local-other"
    with pytest.raises(InstanceGone):
        await complete(model, ASK)
    assert not is_believed(fleet)


async def test_where_nobody_listens_nothing_was_done(model: InContainer, container: ScriptedInstance) -> None:
    container.close_door()
    with pytest.raises(InstanceGone):
        await complete(model, ASK)


async def test_texts_are_refused_like_prompts(model: InContainer, container: ScriptedInstance) -> None:
    container.close_door()
    with pytest.raises(InstanceGone):
        await model.embed(TEXTS)


async def test_one_that_dies_in_the_middle_of_an_answer_is_a_failure_and_is_looked_at(
    model: InContainer, container: ScriptedInstance, fleet: Fleet
) -> None:
    container.dies_midway = True
    with pytest.raises(BadUpstream):
        await complete(model, ASK)
    assert not is_believed(fleet)


async def test_a_later_container_is_asked_where_it_is(
    model: InContainer, container: ScriptedInstance, rows: ScriptedRows, fleet: Fleet
) -> None:
    await complete(model, ASK)
    async with ScriptedInstance(ENTRY.id).running() as later:
        fleet.lost(ENTRY.id, Endpoint(container.base_url, 1, "here"))
        rows.be_ready(ENTRY.id, generation=2, at=later.base_url)
        await complete(model, ASK)
        assert (len(container.asked), len(later.asked)) == (1, 1)
