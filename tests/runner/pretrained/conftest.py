"""A real model of transformers, small enough to be made afresh: 2 layers, random weights, a tokenizer of bytes.

These tests run in a Python that has torch, which .venv has not: tests/runner/test_pretrained.py starts it.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
elif find_spec("orjson") is None:
    # It compares with what our ledger charges, and that imports common.
    collect_ignore = ["test_gpu.py"]

VOCABULARY = 257
END = 256
SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": END,
    # Random weights that are larger than usual, so that the likeliest token is so by more than rounding.
    "initializer_range": 0.5,
}
TEMPLATE = (
    "{% for turn in messages %}{{ turn.role[0] }}:{{ turn.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)


@pytest.fixture(scope="session")
def model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**SIZE)).eval()
    with torch.no_grad():
        model.lm_head.weight[END].zero_()  # so that answers are long
    return model


@pytest.fixture(scope="session")
def sliding_model() -> Any:
    """Its attention sees the last 8 positions only."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(2)
    return MistralForCausalLM(MistralConfig(**SIZE, sliding_window=8)).eval()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {byte: number for number, byte in enumerate(alphabet)} | {"<end>": END}
    plain = Tokenizer(BPE(vocabulary, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<end>", pad_token="<end>", chat_template=TEMPLATE)


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory, model: Any, tokenizer: Any) -> Path:
    """The two as a download would leave them."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
