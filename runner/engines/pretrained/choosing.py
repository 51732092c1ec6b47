"""Choosing the next token of each row, as the row wants it."""

from collections.abc import Sequence

import torch

from runner.engines.pretrained.row import NO_TOKEN, Choosing, Row

# A logit that overflowed is still the likeliest; one divided by the other is still a number. Long before either the
# likeliest token has every share. What is no share ends the process: a caller's parameter must not.
LARGEST_LOGIT, LEAST_TEMPERATURE = 1e30, 1e-6


def choose(logits: torch.Tensor, rows: Sequence[Row], generators: Sequence[torch.Generator | None]) -> torch.Tensor:
    """One token a row, shape (rows, 1); NO_TOKEN where the model computed no numbers.

    Each row has a generator of its own, so that a seed gives the same answer whoever else is in the batch.
    """
    logits = logits.clamp(max=LARGEST_LOGIT)
    # there is NaN, or nothing that may be said
    is_lost = ~logits.amax(dim=-1, keepdim=True).isfinite()
    chosen = [
        _sampled(row_logits, row.choosing, generator) if row.choosing.temperature > 0 else row_logits.argmax().view(1)
        for row_logits, row, generator in zip(logits.masked_fill(is_lost, 0.0), rows, generators, strict=True)
    ]
    return torch.stack(chosen).masked_fill(is_lost, NO_TOKEN)


def _sampled(logits: torch.Tensor, choosing: Choosing, generator: torch.Generator | None) -> torch.Tensor:
    """From the `top_k` likeliest, and of them the fewest whose shares reach `top_p`; the likeliest always."""
    temperature = max(choosing.temperature, LEAST_TEMPERATURE)
    shares, tokens = torch.sort(torch.softmax(logits / temperature, dim=-1), descending=True)
    if choosing.top_k > 0:
        shares, tokens = shares[: choosing.top_k], tokens[: choosing.top_k]
    if choosing.top_p < 1:
        is_kept = shares.cumsum(dim=0) - shares < choosing.top_p * shares.sum()
        is_kept[0] = True
        shares = torch.where(is_kept, shares, 0.0)
    return tokens[torch.multinomial(shares, 1, generator=generator)]
