"""What pretraining does to runs, said with an interval: better, worse, or not to be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from counterpoint.core.records import Json
from counterpoint.scaling.fitting.bootstrap import interval
from counterpoint.scaling.laws.forms import Float

TransferVerdict = Literal["helps", "hurts", "ossifies", "no difference", "not identifiable"]
"""`ossifies`: worse than from scratch where there is most data of the task, though not worse overall."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Error after pretraining over the error without, as a geometric mean of runs."""

    ratio: float
    ci95: tuple[float, float]

    @property
    def better(self) -> bool:
        """Whether the interval lies below 1."""
        return self.ci95[1] < 1

    @property
    def worse(self) -> bool:
        """Whether the interval lies above 1."""
        return self.ci95[0] > 1

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {"ratio": self.ratio, "ci95": [*self.ci95]}


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """One number of the transfer law."""

    value: float
    ci95: tuple[float, float]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {"value": self.value, "ci95": [*self.ci95]}


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What pretraining is worth at one amount of fine-tuning data and one size: means of its runs."""

    data: float
    size: float | None
    runs: int
    ratio: float
    """Error over that of the law from scratch with the same data."""
    equivalent: float | None
    """Data from scratch that give the same error; None where no amount does (below the floor)."""
    multiplier: float | None
    """`equivalent` over `data`."""
    beyond: bool
    """Whether `equivalent` lies beyond the data that the law from scratch saw."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "data": self.data, "size": self.size, "runs": self.runs, "ratio": self.ratio,
            "equivalent_data": self.equivalent, "multiplier": self.multiplier, "beyond": self.beyond,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What one pretraining set does."""

    name: str
    runs: int
    verdict: TransferVerdict
    gain: Gain
    late: Gain | None
    """Where there is most fine-tuning data."""
    by_size: dict[float, TransferVerdict]
    law: dict[str, Coefficient]
    """k, alpha, beta of D_T = k D_F^alpha N^beta; exponents whose axis does not vary are not there."""
    identified: bool
    """Whether the runs bound the law."""
    amounts: tuple[Amount, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "pretraining": self.name,
            "runs": self.runs,
            "verdict": self.verdict,
            "error_ratio": self.gain.to_dict(),
            "error_ratio_most_data": None if self.late is None else self.late.to_dict(),
            "by_size": {f"{size:g}": verdict for size, verdict in self.by_size.items()},
            "law": {name: each.to_dict() for name, each in self.law.items()},
            "identified": self.identified,
            "amounts": [each.to_dict() for each in self.amounts],
            "warnings": [*self.warnings],
        }


def gain(value: float, draws: Float, num_runs: int) -> Gain:
    """Return a mean of logarithms, and its redrawn values, as a ratio with its interval."""
    low, high = interval(draws, value, num_runs, 1) if num_runs > 1 else (-math.inf, math.inf)
    return Gain(ratio=math.exp(value), ci95=(_exp(low), _exp(high)))


def verdict_of(all_runs: Gain, late: Gain | None, doubling: float) -> TransferVerdict:
    """Return the verdict.

    Args:
        all_runs: over all runs.
        late: over the runs with most data of the task.
        doubling: the ratio of errors that twice the data give from scratch; below 1. Where not even that can be told
            from nothing, the runs identify nothing.
    """
    if all_runs.worse:
        return "hurts"
    if late is not None and late.worse:
        return "ossifies"
    if all_runs.better:
        return "helps"
    width = math.log(all_runs.ci95[1] / all_runs.ci95[0]) / 2 if 0 < all_runs.ci95[0] < math.inf else math.inf
    return "no difference" if width < -math.log(doubling) else "not identifiable"


def _exp(value: float) -> float:
    return float(np.exp(np.clip(value, -700, 700))) if math.isfinite(value) else (math.inf if value > 0 else 0.0)
