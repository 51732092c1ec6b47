"""Vectors of texts: the mean of the last hidden states, of length 1."""

from collections.abc import Sequence
from typing import Any

import torch

from runner.engines.pretrained.forward import memory_errors
from runner.faults import Unsupported


def embed(model: Any, texts: Sequence[Sequence[int]], pad_token: int) -> list[list[float]]:
    """One vector a text, each given as tokens.

    Raises:
        Unsupported: the model shows no hidden states.
        MemoryError: there is none for this.
    """
    longest = max(map(len, texts))
    tokens = torch.tensor([[*text, *[pad_token] * (longest - len(text))] for text in texts], device=model.device)
    mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=model.device)
    with memory_errors(), torch.inference_mode():
        answer = model(input_ids=tokens, attention_mask=mask, use_cache=False, output_hidden_states=True)
    states = getattr(answer, "hidden_states", None)
    if not states:
        raise Unsupported("This model shows no hidden states, so it has no embeddings.")
    weights = mask.unsqueeze(-1).float()
    means = (states[-1].float() * weights).sum(dim=1) / weights.sum(dim=1)
    vectors: list[list[float]] = torch.nn.functional.normalize(means, dim=-1).tolist()
    return vectors
