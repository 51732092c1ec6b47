import asyncio
import json

from common.contracts.messages import Message
from common.providers.complete import complete
from common.providers.protocol import Delta
from tests.contract.subjects import QUESTION, Subject, offered, require

SCHEMA = {
    "type": "object",
    "properties": {"river": {"enum": ["Rhine", "Nile"]}, "metres": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["river", "metres"],
    "additionalProperties": False,
}


async def deltas(subject: Subject, **fields: object) -> list[Delta]:
    return [delta async for delta in subject.provider.stream(subject.asked(timeout_seconds=30, **fields))]


async def test_the_last_piece_alone_carries_reason_and_usage(subject: Subject) -> None:
    *pieces, last = await deltas(subject, max_tokens=6)
    assert last.finish_reason is not None
    assert last.usage is not None
    assert all(piece.text and piece.finish_reason is None and piece.usage is None for piece in pieces)


async def test_the_whole_answer_is_the_stream_joined(subject: Subject) -> None:
    streamed = await deltas(subject, max_tokens=4)
    whole = await complete(subject.provider, subject.asked(max_tokens=4, timeout_seconds=30))
    assert whole.text == "".join(delta.text for delta in streamed)
    assert (whole.finish_reason, whole.usage) == (streamed[-1].finish_reason, streamed[-1].usage)


async def test_a_server_s_own_count_of_tokens_is_reported(subject: Subject) -> None:
    require(subject, "usage")
    usage = (await deltas(subject, max_tokens=5))[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 5
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_an_answer_cut_at_max_tokens_says_length(subject: Subject) -> None:
    require(subject, "length")
    assert (await deltas(subject, max_tokens=3))[-1].finish_reason == "length"


async def test_an_answer_that_ends_by_itself_says_stop(subject: Subject) -> None:
    # a schema where it is to be had, as it is what makes a small model come to an end soon
    asked = {"schema": SCHEMA} if "json_schema" in subject.provider.features else {}
    assert (await deltas(subject, **asked))[-1].finish_reason == "stop"


async def test_a_schema_is_obeyed(subject: Subject) -> None:
    with offered(subject, "json_schema"):
        answer = await complete(subject.provider, subject.asked(schema=SCHEMA, max_tokens=100, timeout_seconds=30))
        document = json.loads(answer.text)
        assert document.keys() == {"river", "metres"}
        assert document["river"] in {"Rhine", "Nile"}
        assert 1 <= document["metres"] <= 9


async def test_an_answer_ends_before_a_stop_sequence(subject: Subject) -> None:
    with offered(subject, "stop"):
        whole = await complete(subject.provider, subject.asked(max_tokens=12, timeout_seconds=30))
        stop = whole.text.split()[2]
        cut = await complete(subject.provider, subject.asked(max_tokens=12, stop=(stop,), timeout_seconds=30))
        assert cut.text.rstrip() == whole.text.partition(stop)[0].rstrip()
        assert cut.finish_reason == "stop"


async def test_equal_seeds_make_equal_answers(subject: Subject) -> None:
    with offered(subject, "seed"):
        asked = {"seed": 7, "temperature": 1.0, "max_tokens": 8, "timeout_seconds": 30}
        first = await complete(subject.provider, subject.asked(**asked))
        assert first.text
        assert first.text == (await complete(subject.provider, subject.asked(**asked))).text


async def test_a_system_prompt_and_several_turns_are_taken(subject: Subject) -> None:
    conversation = (
        Message(role="system", content="You are brief."),
        *QUESTION,
        Message(role="assistant", content="Two rivers met."),
        Message(role="user", content="Go on."),
    )
    answer = await complete(subject.provider, subject.asked(messages=conversation, max_tokens=4, timeout_seconds=30))
    assert answer.text


async def test_many_requests_share_one_adapter(subject: Subject) -> None:
    answers = await asyncio.gather(
        *(complete(subject.provider, subject.asked(max_tokens=3, timeout_seconds=60)) for _ in range(20))
    )
    assert all(answer.text and answer.finish_reason for answer in answers)


async def test_fifty_answers_in_a_row_never_meet_a_closed_connection(subject: Subject) -> None:
    for _ in range(50):
        assert (await complete(subject.provider, subject.asked(max_tokens=1, timeout_seconds=30))).text


async def test_the_server_s_models_are_listed(subject: Subject) -> None:
    with offered(subject, "list_models"):
        assert await subject.provider.list_models() == subject.listed
