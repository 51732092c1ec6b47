"""What a batch computes: for each row what it would compute alone, whoever else is there."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from runner.engines.pretrained.choosing import choose
from runner.engines.pretrained.embedding import embed
from runner.engines.pretrained.forward import Batch, memory_errors
from runner.engines.pretrained.row import NO_TOKEN, Choosing, Row

PROMPTS = ([5, 6, 7], [9], list(range(20, 60)), [1, 2] * 5)
GREEDY = Choosing(temperature=0)


def row(prompt: Sequence[int], choosing: Choosing = GREEDY) -> Row:
    return Row(prompt, 100, choosing, ends=(), stops=(), decode=str, give=lambda _: None)


def alone(model: Any, prompt: Sequence[int], tokens: int) -> list[int]:
    """What transformers itself generates."""
    answer = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=None,
    )
    return list(answer[0][len(prompt) :].tolist())


def test_rows_of_different_lengths_are_answered_as_if_alone(model: Any) -> None:
    batch = Batch(model, pad_token=0)
    steps = [batch.add([row(prompt) for prompt in PROMPTS]), *(batch.step() for _ in range(9))]
    for prompt, tokens in zip(PROMPTS, zip(*steps, strict=True), strict=True):
        assert list(tokens) == alone(model, prompt, 10)


def test_rows_may_come_and_go(model: Any) -> None:
    batch = Batch(model, pad_token=0)
    said = {number: alone(model, prompt, 20) for number, prompt in enumerate(PROMPTS)}
    here: list[int] = []
    done = dict.fromkeys(said, 0)

    def check(numbers: Sequence[int], tokens: Sequence[int]) -> None:
        for number, token in zip(numbers, tokens, strict=True):
            assert token == said[number][done[number]], (number, done[number])
            done[number] += 1

    def come(*numbers: int) -> None:
        check(numbers, batch.add([row(PROMPTS[number]) for number in numbers]))
        here.extend(numbers)

    def leave(number: int) -> None:
        index = here.index(number)
        batch.keep([other for other in range(len(here)) if other != index])
        here.remove(number)

    def steps(count: int) -> None:
        for _ in range(count):
            check(here, batch.step())

    come(0)
    steps(3)
    come(2)  # longer than all that is there
    steps(2)
    come(1, 3)  # shorter
    steps(2)
    leave(2)  # the longest: its padding goes with it
    assert batch._mask.shape[1] == len(PROMPTS[3]) + 3 - 1
    steps(2)
    leave(0)
    steps(3)
    leave(1)
    leave(3)
    assert batch.takes_newcomers
    done[2] = 0
    come(2)
    steps(4)


def test_a_window_is_not_joined_and_is_right_all_the_same(sliding_model: Any) -> None:
    batch = Batch(sliding_model, pad_token=0)
    steps = [batch.add([row(prompt) for prompt in PROMPTS]), *(batch.step() for _ in range(4))]
    assert not batch.takes_newcomers
    batch.keep([0, 2])
    steps_left = [batch.step() for _ in range(4)]
    for index, kept in ((0, 0), (2, 1)):
        tokens = [step[index] for step in steps] + [step[kept] for step in steps_left]
        assert tokens == alone(sliding_model, PROMPTS[index], 9)
    batch.keep([])
    assert batch.takes_newcomers


def test_a_seed_gives_the_same_answer_whoever_else_is_there(model: Any) -> None:
    seeded = Choosing(temperature=1.5, top_p=0.95, seed=11)

    def answer(others: Sequence[Row]) -> list[int]:
        batch = Batch(model, pad_token=0)
        return [batch.add([*others, row(PROMPTS[0], seeded)])[-1], *(batch.step()[-1] for _ in range(8))]

    assert answer([]) == answer([row(PROMPTS[2], Choosing(seed=3)), row(PROMPTS[1])])


def test_top_k_and_top_p_bound_what_is_chosen() -> None:
    logits = torch.tensor([[0.0, 3.0, 2.9, 1.0]]).repeat(200, 1)

    def chosen(choosing: Choosing) -> set[int]:
        rows = [row([1], choosing)] * len(logits)
        return set(choose(logits, rows, [None] * len(logits)).flatten().tolist())

    assert chosen(Choosing(temperature=5)) == {0, 1, 2, 3}
    assert chosen(Choosing(temperature=5, top_k=2)) == {1, 2}
    assert chosen(Choosing(temperature=1, top_p=0.5)) == {1, 2}
    assert chosen(Choosing(temperature=1, top_p=0.01)) == {1}
    assert chosen(GREEDY) == {1}
    # as small as a float can be: 0 to float32
    for least in (1e-30, 1e-40, 1e-46):
        assert chosen(Choosing(temperature=least)) == {1}
        assert chosen(Choosing(temperature=1, top_p=least)) == {1}


def test_a_row_whose_numbers_overflowed_has_no_token() -> None:
    nan, inf = float("nan"), float("inf")
    logits = torch.tensor([[1.0, 2.0], [nan, 2.0], [3.0, -inf], [1.0, inf], [-inf, -inf]])
    rows = [row([1]), *(row([1], Choosing(temperature=1)) for _ in logits[1:])]
    assert choose(logits, rows, [None] * len(rows)).flatten().tolist() == [1, NO_TOKEN, 0, 1, NO_TOKEN]


def test_an_embedding_is_the_same_beside_longer_texts(model: Any) -> None:
    together = embed(model, PROMPTS, pad_token=0)
    for prompt, vector in zip(PROMPTS, together, strict=True):
        (alone_,) = embed(model, [prompt], pad_token=0)
        assert vector == pytest.approx(alone_, abs=1e-5)
        assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
    ],
)
def test_short_memory_is_told_from_a_broken_gpu(error: RuntimeError, is_memory: bool) -> None:
    with (
        pytest.raises(MemoryError if is_memory else RuntimeError, match=str(error)[:10].replace("[", ".")),
        memory_errors(),
    ):
        raise error
