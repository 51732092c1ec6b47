import asyncio
from typing import Any

import pytest

from common.contracts.messages import Message
from common.errors import ProviderError, RateLimited, Timeout, Unavailable, UpstreamRejected
from common.providers.complete import Completion, complete
from common.providers.mock import MockProvider
from common.providers.protocol import ModelRequest


def asked(content: str = "Why?", model: str = "mock-a", **fields: Any) -> ModelRequest:
    return ModelRequest(model, (Message(role="user", content=content),), **fields)


async def outcomes(mock: MockProvider, request: ModelRequest, times: int) -> list[bool]:
    """Whether each of these attempts was answered."""
    answered = []
    for _ in range(times):
        try:
            answered.append((await complete(mock, request)).finish_reason is not None)
        except ProviderError:
            answered.append(False)
    return answered


async def test_equal_questions_get_equal_answers_from_any_process() -> None:
    assert await complete(MockProvider(), asked()) == await complete(MockProvider(), asked())


@pytest.mark.parametrize("other", [asked("Who?"), asked(model="mock-b"), asked(temperature=0.5)])
async def test_other_questions_models_and_temperatures_get_other_answers(other: ModelRequest) -> None:
    mock = MockProvider()
    assert (await complete(mock, asked())).text != (await complete(mock, other)).text


async def test_an_undelayed_answer_comes_in_one_piece_and_never_leaves_the_loop() -> None:
    stream = MockProvider().stream(asked())
    with pytest.raises(StopIteration) as reached:  # driven by hand: a wait would yield instead
        anext(stream).send(None)
    assert reached.value.value.finish_reason == "stop"
    await stream.aclose()


async def test_a_paced_answer_comes_word_by_word_and_says_the_same() -> None:
    paced = asked(extra={"tokens": 5, "tokens_per_second": 1000})
    pieces = [delta async for delta in MockProvider().stream(paced)]
    assert [bool(piece.text) for piece in pieces] == [True] * 5 + [False]
    assert "".join(piece.text for piece in pieces) == (await complete(MockProvider(), asked(extra={"tokens": 5}))).text


async def test_latency_comes_before_the_first_token() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await complete(MockProvider(), asked(extra={"latency_seconds": 0.05}))
    assert loop.time() - before >= 0.05


async def test_latency_past_the_deadline_is_a_timeout() -> None:
    with pytest.raises(Timeout):
        await complete(MockProvider(), asked(extra={"latency_seconds": 3600}, timeout_seconds=0.01))


async def test_an_ordered_error_is_raised_with_its_patience() -> None:
    with pytest.raises(RateLimited) as caught:
        await complete(MockProvider(), asked(extra={"error": "rate_limited", "retry_after_seconds": 2.5}))
    assert caught.value.retry_after_seconds == 2.5


async def test_the_first_attempts_at_each_question_fail_where_that_is_ordered() -> None:
    mock, order = MockProvider(), {"error": "unavailable", "fail_attempts": 2}
    assert await outcomes(mock, asked("Why?", extra=order), 4) == [False, False, True, False]
    assert await outcomes(mock, asked("Who?", extra=order), 3) == [False, False, True]


async def test_a_share_of_requests_fails_the_same_ones_each_time() -> None:
    order = {"error": "unavailable", "error_rate": 0.3, "seed": 4}
    answered = await outcomes(MockProvider(), asked(extra=order), 200)
    assert answered == await outcomes(MockProvider(), asked(extra=order), 200)
    assert 120 <= sum(answered) <= 160


async def test_an_error_in_the_middle_comes_after_the_words_before_it() -> None:
    heard: list[str] = []

    async def listen() -> None:
        async for delta in MockProvider().stream(asked(extra={"error": "unavailable", "fail_after_tokens": 3})):
            heard.extend(delta.text.split())

    with pytest.raises(Unavailable):
        await listen()
    assert len(heard) == 3


async def test_an_order_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UpstreamRejected, match="latency_secs"):
        await complete(MockProvider(), asked(extra={"latency_secs": 1}))
    with pytest.raises(UpstreamRejected, match="error"):
        await complete(MockProvider(), asked(extra={"error": "sunspots"}))


async def test_tokens_are_words_and_cut_at_max_tokens() -> None:
    answer = await complete(MockProvider(), asked("one two three", max_tokens=4))
    assert answer == Completion(answer.text, "length", answer.usage)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 4)
    assert len(answer.text.split()) == 4
