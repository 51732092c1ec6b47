"""The adapter of models in containers, against a server that leaves."""

from collections.abc import AsyncIterator

import pytest

from common.contracts.messages import Message
from common.errors import BadUpstream, InstanceGone, Unavailable
from common.fleet.contracts import Endpoint
from common.providers.complete import complete
from common.providers.local import Instance, Instances
from common.providers.protocol import EmbeddingRequest, ModelRequest
from tests.contract.scripted_instance import TEXT, ScriptedInstance
from tests.unit.common.fleet.scripted_rows import local_model

ENTRY = local_model()
ASK = ModelRequest(model=ENTRY.id, messages=(Message(role="user", content="Why?"),), timeout_seconds=5)


class Losses:
    def __init__(self) -> None:
        self.heard: list[tuple[str, Endpoint]] = []

    def __call__(self, model: str, endpoint: Endpoint) -> None:
        self.heard.append((model, endpoint))


@pytest.fixture
async def container() -> AsyncIterator[ScriptedInstance]:
    async with ScriptedInstance(ENTRY.id).running() as running:
        yield running


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
async def instances(losses: Losses) -> AsyncIterator[Instances]:
    made = Instances(losses)
    yield made
    await made.close()


def adapter(instances: Instances, container: ScriptedInstance, generation: int = 1) -> Instance:
    return instances.at(ENTRY, Endpoint(container.base_url, generation, "here"))


async def test_an_instance_answers_by_the_model_s_id(
    instances: Instances, container: ScriptedInstance, losses: Losses
) -> None:
    answer = await complete(adapter(instances, container), ASK)
    assert (answer.text, answer.finish_reason) == (TEXT, "stop")
    assert container.asked[0]["model"] == ENTRY.id
    assert losses.heard == []


async def test_an_instance_embeds(instances: Instances, container: ScriptedInstance) -> None:
    embeddings = await adapter(instances, container).embed(EmbeddingRequest(ENTRY.id, ("a",)))
    assert embeddings.vectors == ((1.0, 0.0),)


@pytest.mark.parametrize("code", ["draining", "loading"])
async def test_one_that_leaves_or_is_not_there_yet_has_done_nothing(
    instances: Instances, container: ScriptedInstance, losses: Losses, code: str
) -> None:
    container.refusing = code
    with pytest.raises(InstanceGone):
        await complete(adapter(instances, container), ASK)
    assert losses.heard == [(ENTRY.id, Endpoint(container.base_url, 1, "here"))]


async def test_one_that_is_busy_is_there(instances: Instances, container: ScriptedInstance, losses: Losses) -> None:
    container.refusing = "busy"
    with pytest.raises(Unavailable):
        await complete(adapter(instances, container), ASK)
    assert losses.heard == []


async def test_an_address_that_changed_hands_is_nobody_s(losses: Losses, instances: Instances) -> None:
    async with ScriptedInstance("local-other").running() as other:
        with pytest.raises(InstanceGone):
            await complete(adapter(instances, other), ASK)
    assert len(losses.heard) == 1


async def test_where_nobody_listens_nothing_was_done(
    instances: Instances, container: ScriptedInstance, losses: Losses
) -> None:
    container.close_door()
    with pytest.raises(InstanceGone):
        await complete(adapter(instances, container), ASK)
    with pytest.raises(InstanceGone):
        await adapter(instances, container).embed(EmbeddingRequest(ENTRY.id, ("a",)))
    assert len(losses.heard) == 2


async def test_one_that_dies_in_the_middle_of_an_answer_is_a_failure_and_is_looked_at(
    instances: Instances, container: ScriptedInstance, losses: Losses
) -> None:
    container.dies_midway = True
    with pytest.raises(BadUpstream):
        await complete(adapter(instances, container), ASK)
    assert len(losses.heard) == 1


async def test_an_adapter_is_kept_for_as_long_as_its_instance(
    instances: Instances, container: ScriptedInstance
) -> None:
    first = adapter(instances, container)
    assert adapter(instances, container) is first
    assert adapter(instances, container, generation=2) is not first
