"""The batch in torch: left-padded prompts, one cache of keys and values, one token a row a step."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from runner.engines.pretrained.choosing import choose
from runner.engines.pretrained.row import Row

OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Batch:
    """Implements `Forward`. To be used in one thread."""

    def __init__(self, model: Any, pad_token: int) -> None:
        self._model = model
        self._pad_token = pad_token
        self._device = model.device
        accepted = inspect.signature(model.forward).parameters
        # Logits of every position of a long prompt are gigabytes, and all but the last are thrown away.
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._has_positions = "position_ids" in accepted
        self._rows: list[Row] = []
        self._generators: list[torch.Generator | None] = []
        self._forget()

    def _forget(self) -> None:
        self._cache: DynamicCache | None = None
        self._mask = torch.empty((0, 0), dtype=torch.long, device=self._device)
        self._last = torch.empty((0, 1), dtype=torch.long, device=self._device)

    @property
    def takes_newcomers(self) -> bool:
        """Whether its cache is one that can be joined: windows and recurrent states are tied to their places."""
        return self._cache is None or all(type(layer) is DynamicLayer for layer in self._cache.layers)

    def add(self, rows: Sequence[Row]) -> list[int]:
        """See the port."""
        longest = max(len(row.prompt) for row in rows)
        tokens = [[self._pad_token] * (longest - len(row.prompt)) + list(row.prompt) for row in rows]
        masks = [[0] * (longest - len(row.prompt)) + [1] * len(row.prompt) for row in rows]
        mask = torch.tensor(masks, device=self._device)
        generators = [self._generator(row) for row in rows]
        with memory_errors():
            cache = DynamicCache(config=self._model.config)
            logits = self._logits(torch.tensor(tokens, device=self._device), mask, cache)
            chosen = choose(logits, rows, generators)
            if self._cache is None:
                self._cache, self._mask, self._last = cache, mask, chosen
            else:
                self._mask = _joined(self._cache, self._mask, cache, mask)
                self._last = torch.cat((self._last, chosen))
        self._rows += rows
        self._generators += generators
        return [int(token) for token in chosen.flatten().tolist()]

    def step(self) -> list[int]:
        """See the port."""
        with memory_errors():
            ones = torch.ones((len(self._rows), 1), dtype=self._mask.dtype, device=self._device)
            self._mask = torch.cat((self._mask, ones), dim=1)
            logits = self._logits(self._last, self._mask, self._cache)
            self._last = choose(logits, self._rows, self._generators)
        return [int(token) for token in self._last.flatten().tolist()]

    def keep(self, indexes: Sequence[int]) -> None:
        """See the port. Columns that were the padding of longer prompts go too."""
        self._rows = [self._rows[index] for index in indexes]
        self._generators = [self._generators[index] for index in indexes]
        if not indexes:
            self._forget()
            return
        assert self._cache is not None
        chosen = torch.tensor(indexes, device=self._device)
        self._cache.batch_select_indices(chosen)
        self._mask, self._last = self._mask[chosen], self._last[chosen]
        if self.takes_newcomers and (unused := int(self._mask.any(dim=0).long().argmax())):
            self._mask = self._mask[:, unused:]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[..., unused:, :], layer.values[..., unused:, :]

    def _logits(self, tokens: torch.Tensor, mask: torch.Tensor, cache: DynamicCache | None) -> torch.Tensor:
        """Of the next token, a row each. Padding has no position: the first real token is at 0."""
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        with torch.inference_mode():
            answer = self._model(
                input_ids=tokens,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                **({"position_ids": positions} if self._has_positions else {}),
                **self._options,
            )
        return answer.logits[:, -1].float()

    def _generator(self, row: Row) -> torch.Generator | None:
        if row.choosing.seed is None:
            return None
        return torch.Generator(self._device).manual_seed(row.choosing.seed)


def _joined(cache: DynamicCache, mask: torch.Tensor, other: DynamicCache, other_mask: torch.Tensor) -> torch.Tensor:
    """Add the rows of `other` to `cache`, both padded on the left to one length; returns the mask of both."""
    length = max(mask.shape[1], other_mask.shape[1])
    # All of it before the first is put in place: memory may end half-way.
    states = [
        (_stacked(mine.keys, new.keys, length), _stacked(mine.values, new.values, length))
        for mine, new in zip(cache.layers, other.layers, strict=True)
    ]
    for layer, (keys, values) in zip(cache.layers, states, strict=True):
        layer.keys, layer.values = keys, values
    masks = [torch.nn.functional.pad(one, (length - one.shape[1], 0)) for one in (mask, other_mask)]
    return torch.cat(masks)


def _stacked(first: torch.Tensor, second: torch.Tensor, length: int) -> torch.Tensor:
    """Keys or values (row, head, position, value), with positions that nothing attends to in front."""
    return torch.cat(
        [torch.nn.functional.pad(states, (0, 0, length - states.shape[-2], 0)) for states in (first, second)]
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch says that memory is short: its allocators do, and CUDA and cuBLAS where they take their own."""
    is_said = any(words in str(error) for words in OUT_OF_MEMORY)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and is_said)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Torch's ways to say that memory is short, as Python's own."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise MemoryError(str(error)) from error
        raise
