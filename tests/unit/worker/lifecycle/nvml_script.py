# ruff: noqa: N802  # the names are NVIDIA's
"""pynvml's functions over machines by script. What it raises is pynvml's own."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

GIB = 1 << 30
RESERVED_BYTES = GIB // 2


@dataclass
class Card:
    uuid: str
    total: int = 80 * GIB
    used: int = 0
    name: str = "NVIDIA H200"
    utilisation: int | None = 0
    parts: list["Card | None"] | None = None
    # errors in the order in which its readings meet them
    troubles: list[int] = field(default_factory=list)
    # every reading meets it until the library is opened after it was repaired
    is_lost: bool = False


class NvmlScript:
    """Hand it to `Nvml` where it would take pynvml."""

    def __init__(self, *cards: Card, fault: int | None = None) -> None:
        self.cards = list(cards)
        self.fault = fault
        self.openings = 0
        self.readings = 0
        self.is_open = False
        self.hanging: threading.Event | None = None

    def nvmlInit(self) -> None:
        if self.hanging is not None:
            self.hanging.wait(timeout=30)
        if self.fault is not None:
            raise pynvml.NVMLError(self.fault)
        self.openings += 1
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:
        self.readings += 1
        if self.hanging is not None:
            self.hanging.wait(timeout=30)
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        card = self.cards[index]
        if card.is_lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        if card.troubles:
            raise pynvml.NVMLError(card.troubles.pop(0))
        return card

    def nvmlDeviceGetMigMode(self, card: Card) -> list[int]:
        if card.name.startswith("GeForce"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [int(card.parts is not None)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:
        return len(card.parts or ())

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, index: int) -> Card:
        part = (card.parts or [])[index]
        if part is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return part

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: Card) -> str:
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Any:
        return SimpleNamespace(total=card.total, free=card.total - card.used - RESERVED_BYTES, used=card.used)

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Any:
        if card.utilisation is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=card.utilisation, memory=0)
