"""From a path to a model in memory."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from runner.engines.gguf_files import gguf_file
from runner.engines.pretrained.forward import is_out_of_memory
from runner.engines.pretrained.room import refuse_too_large
from runner.engines.pretrained.row import Choosing
from runner.faults import BadDtype, Fatal, LoadFailed, ModelMissing, OutOfMemory
from runner.settings import Settings

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, and what its files say about its use."""

    model: Any
    tokenizer: Any
    context_tokens: int
    ends: Collection[int]
    pad_token: int
    choosing: Choosing


def load_model(settings: Settings) -> Loaded:
    """The model in memory; takes seconds to minutes.

    Raises:
        Fatal: it cannot be; the kind says what to change.
    """
    torch.set_num_threads(settings.threads)
    transformers_logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    place = _place(Path(settings.model_path))
    dtype = _dtype(settings.dtype, device, is_gguf="gguf_file" in place)
    options = {**place, "trust_remote_code": settings.trust_remote_code, "local_files_only": True}
    try:
        refuse_too_large(Path(settings.model_path), dtype, device)
        tokenizer = AutoTokenizer.from_pretrained(**options)
        config = AutoConfig.from_pretrained(**options)
        # Pickled weights can run code when they are read.
        model = AutoModelForCausalLM.from_pretrained(
            **options, config=config, dtype=dtype, use_safetensors=True, **_placement(device)
        ).eval()
    except Fatal:
        raise
    except Exception as error:
        raise _why_not(error) from error
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        context_tokens=_context_tokens(settings.context, model.config),
        ends=_ends(model, tokenizer),
        pad_token=tokenizer.pad_token_id or 0,
        choosing=_choosing(model.generation_config),
    )


def _place(path: Path) -> dict[str, str]:
    """Where transformers finds the files: a directory, and the GGUF file in it if it is one."""
    if path.is_dir() and (path / "config.json").exists():
        if not any(path.glob("*.safetensors")):
            raise ModelMissing(f"{path} has no *.safetensors: pull a revision that has, pickled weights are not read.")
        return {"pretrained_model_name_or_path": str(path)}
    file = gguf_file(path)
    if file.suffix != ".gguf":
        raise ModelMissing(f"{file} is neither a directory with config.json and safetensors nor a GGUF file.")
    return {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}


def _dtype(name: str, device: str, *, is_gguf: bool) -> "torch.dtype | str":
    """What to compute in. `auto` is what the weights are stored in; a GGUF file's are unpacked."""
    if name == "auto":
        unpacked = torch.bfloat16 if device == "cuda" else torch.float32
        return unpacked if is_gguf else "auto"
    if name not in DTYPES:
        raise BadDtype(f"ULTRA_DTYPE is {name!r}: it can be auto, {', '.join(DTYPES)}.")
    if name == "bfloat16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise BadDtype("This GPU has no bfloat16: set ULTRA_DTYPE to float16.")
    return DTYPES[name]


def _placement(device: str) -> dict[str, str]:
    """Straight to the GPU, or spread over several; left out, weights stay with the processor."""
    if device == "cpu":
        return {}
    return {"device_map": "auto" if torch.cuda.device_count() > 1 else device}


def _why_not(error: Exception) -> Fatal:
    words = f"{type(error).__name__}: {error}"
    if is_out_of_memory(error):
        return OutOfMemory(f"The model does not fit: {words}")
    if "trust_remote_code" in words:
        return LoadFailed("The model brings code of its own: allow it with trust_remote_code and a pinned revision.")
    return LoadFailed(f"transformers could not load the model: {words}")


def _context_tokens(wanted: int, config: Any) -> int:
    most = getattr(config.get_text_config(), "max_position_embeddings", None) or wanted
    if wanted > most:
        logger.warning("ULTRA_CONTEXT is %d and the model was made for %d: using %d", wanted, most, most)
    return int(min(wanted, most))


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: one, or several, as the model's generation settings have it."""
    told = model.generation_config.eos_token_id
    tokens = told if isinstance(told, list) else [told, tokenizer.eos_token_id]
    return frozenset(token for token in tokens if token is not None)


def _choosing(config: Any) -> Choosing:
    """The authors' own choice where they made one; else, as with OpenAI, the model's shares as they are."""
    if not config.do_sample:
        return Choosing()
    return Choosing(
        temperature=1.0 if config.temperature is None else config.temperature,
        top_p=config.top_p or 1.0,
        top_k=config.top_k or 0,
    )
