"""What was measured of each system, what is asked of ours, and the table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Samples = Mapping[str, Sequence[float]]
"""By system: ours, bare, LiteLLM, direct; a sample a round."""

SYSTEMS = ("ours", "bare", "LiteLLM", "direct")


class Target(Protocol):
    def is_met(self, samples: Samples) -> bool | None:
        """None where it was not measured."""

    def __str__(self) -> str:
        """As the table says it."""


@dataclass(frozen=True, slots=True)
class Times:
    """Ours is at least so many times another system's."""

    peer: str
    least: float

    def is_met(self, samples: Samples) -> bool | None:
        ratio = ratio_of(samples, self.peer)
        return None if ratio is None else ratio >= self.least

    def __str__(self) -> str:
        return f"≥ {self.least:g} x {self.peer}"


@dataclass(frozen=True, slots=True)
class AtMost:
    limit: float
    unit: str

    def is_met(self, samples: Samples) -> bool | None:
        return statistics.median(samples["ours"]) <= self.limit if samples.get("ours") else None

    def __str__(self) -> str:
        return f"≤ {self.limit:g} {self.unit}" if self.limit else "none"


@dataclass(slots=True)
class Figure:
    name: str
    unit: str
    targets: Sequence[Target] = ()
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, system: str, sample: float) -> None:
        self.samples.setdefault(system, []).append(sample)

    @property
    def is_met(self) -> bool | None:
        """Whether every target is; None where there is none. What was not measured was not met."""
        if not self.targets:
            return None
        return all(target.is_met(self.samples) is True for target in self.targets)


def ratio_of(samples: Samples, peer: str) -> float | None:
    """Ours over the peer's: the median of the rounds' ratios, for a round's two are of the same minute.

    Rounds in which one of them failed have no partner to compare with: then it is the ratio of the medians.
    """
    ours, theirs = samples.get("ours", ()), samples.get(peer, ())
    if not ours or not theirs or not all(theirs):
        return None
    if len(ours) != len(theirs):
        return statistics.median(ours) / statistics.median(theirs)
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def markdown(figures: Sequence[Figure]) -> str:
    """The table: medians, with the least and the greatest sample where there are several."""
    head = ["figure", *SYSTEMS, "ours / bare", "ours / LiteLLM", "target", "met"]
    lines = [_row(head), _row(["---"] * len(head))]
    for figure in figures:
        # a share of one's own core says nothing beside a share of another's
        peers = ("", "") if figure.unit == "%" else ("bare", "LiteLLM")
        ratios = [_ratio(ratio_of(figure.samples, peer)) for peer in peers]
        cells = [_shown(figure.samples.get(system, ()), figure.unit) for system in SYSTEMS]
        met = {True: "yes", False: "**no**", None: ""}[figure.is_met]
        lines.append(_row([figure.name, *cells, *ratios, " and ".join(map(str, figure.targets)), met]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}"


def _shown(samples: Sequence[float], unit: str) -> str:
    if not samples:
        return ""
    middle = f"{_number(statistics.median(samples))} {unit}".rstrip()
    return middle if len(samples) == 1 else f"{middle} ({_number(min(samples))} to {_number(max(samples))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
