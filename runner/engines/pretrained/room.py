"""Whether a model can fit, found out before the kernel does: it would kill the process without a word."""

import json
import struct
from math import prod
from pathlib import Path

import torch

from runner.faults import LoadFailed, OutOfMemory
from runner.memory import limit_bytes

# The headers of real models are a few megabytes at most.
MOST_HEADER_BYTES = 100 * 1024 * 1024
STORED_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}


def refuse_too_large(path: Path, dtype: "torch.dtype | str", device: str) -> None:
    """Compare the weights alone with all the memory there is: what is refused here could never run.

    Raises:
        OutOfMemory: they are larger.
        LoadFailed: a file is not safetensors.
    """
    needed = sum(_bytes(file, dtype) for file in path.glob("*.safetensors")) if path.is_dir() else 0
    available = limit_bytes() if device == "cpu" else sum(_gpu_bytes())
    if needed > available:
        raise OutOfMemory(
            f"The weights alone need {_gib(needed)} of memory and there are {_gib(available)}: "
            "give it more, or choose a smaller model or dtype."
        )


def _bytes(file: Path, dtype: "torch.dtype | str") -> int:
    """What the weights of a safetensors file will take. Its header names each tensor's type and shape."""
    with file.open("rb") as reader:
        (size,) = struct.unpack("<Q", reader.read(8).ljust(8, b"\0"))
        if not 0 < size <= MOST_HEADER_BYTES:
            raise LoadFailed(f"{file} is no safetensors file: pull it again.")
        try:
            header = json.loads(reader.read(size))
        except ValueError:
            raise LoadFailed(f"{file} is cut off or damaged: pull it again.") from None
    tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
    return sum(prod(tensor["shape"]) * _width(tensor["dtype"], dtype) for tensor in tensors)


def _width(stored: str, dtype: "torch.dtype | str") -> int:
    if isinstance(dtype, torch.dtype) and stored in {"F64", "F32", "F16", "BF16"}:
        return int(dtype.itemsize)
    return STORED_BYTES.get(stored, 1)


def _gpu_bytes() -> list[int]:
    return [torch.cuda.mem_get_info(device)[0] for device in range(torch.cuda.device_count())]


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
