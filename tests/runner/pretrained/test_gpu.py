"""The program on a GPU, and what NVML and the ledger make of it. Skipped where torch finds none (docs/gpu.md)."""

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from common.catalog.local import GIB, MIB
from common.fleet.contracts import Gpu, Host, Instance, Reservation, RunnerHealth
from tests.runner.pretrained.conftest import SIZE
from tests.runner.processes import Program, program

torch = pytest.importorskip("torch")
pytest.importorskip("pynvml")
if not torch.cuda.is_available():
    pytest.skip("torch finds no GPU", allow_module_level=True)

from worker.lifecycle.nvml import Nvml  # noqa: E402  # needs pynvml
from worker.lifecycle.planning.ledger import free  # noqa: E402
from worker.lifecycle.planning.policy import POLICY  # noqa: E402

# 1.3 thousand million parameters of 16 bits: a CUDA context is small beside them.
LARGE = SIZE | {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 20,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 4096,
    "initializer_range": 0.05,
}
AT_ONCE, TOKENS = 32, 128


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """On disk, and on no GPU."""
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("models") / "large"
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**LARGE)).to(torch.bfloat16).eval()
    with torch.no_grad():
        model.lm_head.weight[SIZE["eos_token_id"]].zero_()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def before() -> Gpu:
    """The GPU before a model came."""
    return gpu()


@pytest.fixture(scope="module")
def it(before: Gpu, large: Path) -> Iterator[Program]:
    with program(engine="transformers", model_path=large, context=2048, slots=AT_ONCE) as started:
        started.until_ready()
        yield started


def gpu() -> Gpu:
    reading = Nvml().read()
    assert reading.gpus, reading.faults
    return reading.gpus[0]


def health(it: Program) -> RunnerHealth:
    return RunnerHealth.model_validate(it.client.get("/health").json())


def told(of: str) -> list[str]:
    """What nvidia-smi tells of the first GPU."""
    asked = ["nvidia-smi", "--id=0", f"--query-gpu={of}", "--format=csv,noheader,nounits"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    return [value.strip() for value in said.stdout.split(",")]


def seconds_for(it: Program, at_once: int) -> float:
    """How long so many answers take that are asked for together."""
    asked = {"prompt": "Tell me a story.", "max_tokens": TOKENS, "temperature": 0}
    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda _: it.ask("/inference", asked), range(at_once)))
    assert {answer["usage"]["completion_tokens"] for answer in answers} == {TOKENS}
    return time.monotonic() - began


def test_our_reader_tells_what_nvidia_smi_tells() -> None:
    uuid, index, name, total, free_mib = told("uuid,index,name,memory.total,memory.free")
    seen = gpu()
    assert (seen.uuid, seen.index, seen.name) == (uuid, int(index), name)
    assert seen.total_bytes // MIB == int(total)
    assert (seen.total_bytes - seen.used_bytes) / MIB == pytest.approx(int(free_mib), abs=64)


def test_a_runner_tells_what_it_takes_but_for_its_cuda_context(it: Program, before: Gpu) -> None:
    taken, said = gpu().used_bytes - before.used_bytes, health(it).gpu_memory_bytes
    assert said is not None
    print(f"NVML {taken / MIB:.0f} MiB, /health {said / MIB:.0f} MiB, context {(taken - said) / MIB:.0f} MiB")
    assert said > 2 * GIB
    assert 0 <= taken - said <= POLICY.gpu_margin_bytes


def test_the_ledger_hands_out_no_more_than_is_free(it: Program) -> None:
    now = gpu()
    instance = Instance(
        container="c",
        model="local-large",
        generation=1,
        spec="s",
        node="here",
        reserved=Reservation(4 * GIB, 3 * GIB, (now.uuid,)),
        status="running",
        created_at=datetime.now(UTC),
        health=health(it),
    )
    handed_out = free(Host("here", UUID(int=1), 64 * GIB), [now], [instance], POLICY).gpu_bytes[now.uuid]
    really_free = now.total_bytes - now.used_bytes
    print(f"handed out {handed_out / MIB:.0f} MiB of {really_free / MIB:.0f} MiB that are free")
    assert handed_out <= really_free
    assert really_free - handed_out <= POLICY.gpu_margin_bytes + 3 * GIB


def test_many_at_once_are_answered_in_far_less_than_one_after_the_other(it: Program) -> None:
    seconds_for(it, 1)  # kernels are chosen and compiled
    alone, together = seconds_for(it, 1), seconds_for(it, AT_ONCE)
    rates = TOKENS / alone, AT_ONCE * TOKENS / together
    print(f"{rates[0]:.0f} tokens/s alone, {rates[1]:.0f} tokens/s with {AT_ONCE} at once")
    assert rates[1] > 4 * rates[0]


def test_sigterm_lets_those_in_flight_finish(large: Path) -> None:
    with program(engine="transformers", model_path=large, context=2048) as leaving, ThreadPoolExecutor(1) as pool:
        leaving.until_ready()
        asked = {"prompt": "Tell me a story.", "max_tokens": 500, "temperature": 0}
        answer = pool.submit(leaving.ask, "/inference", asked)
        while health(leaving).in_flight == 0:
            assert not answer.done()
        leaving.process.send_signal(signal.SIGTERM)
        assert answer.result()["usage"]["completion_tokens"] == 500
        assert leaving.end() == (0, {})


def test_a_gpu_that_is_full_ends_it_with_its_own_code(large: Path) -> None:
    room = torch.cuda.mem_get_info()[0] - GIB  # the weights need more than what is left
    taken = torch.empty(room, dtype=torch.uint8, device="cuda")
    try:
        with program(engine="transformers", model_path=large) as it:
            ended, said = it.end()
    finally:
        del taken
        torch.cuda.empty_cache()
    assert (ended, said["fatal"]) == (4, "out_of_memory")
    assert "GiB" in said["message"]
