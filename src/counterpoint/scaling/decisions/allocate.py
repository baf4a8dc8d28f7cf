"""How to spend a budget: the size and the amount of data with the least error, and what is nearly as good.

Computing is k N D, with k from the runs' own count of FLOPs or given, or 6 where data are tokens; money is D at the
price of an hour plus the training of N on D. Both have one optimum in ln N, found on a grid and between its points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.fitting.bootstrap import ends
from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.laws.forms import Float, axes
from counterpoint.scaling.runs.cost import (
    FLOPS_A_TOKEN,
    Prices,
    data_unit,
    flops_per_unit,
    gpu_hours_per_unit,
    unpriced,
)

NEAR = 1.01
"""Sizes whose error is within this factor of the least are nearly optimal."""
_GRID = 2001
_REACH = 9.0
"""ln of how far beyond the sizes that were tried the grid goes."""


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The best use of a budget."""

    size: float
    size95: tuple[float, float]
    data: float
    data95: tuple[float, float]
    error: float
    error95: tuple[float, float]
    near_sizes: tuple[float, float]
    """Sizes between which the error is within 1% of the least."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "size": self.size,
            "size95": [*self.size95],
            "data": self.data,
            "data95": [*self.data95],
            "error": self.error,
            "error95": [*self.error95],
            "near_sizes": [*self.near_sizes],
            "warnings": [*self.warnings],
        }


def allocate(
    record: FitRecord,
    *,
    flops: float | None = None,
    money: float | None = None,
    per_unit: float | None = None,
    prices: Prices | None = None,
) -> Allocation:
    """Return the best size and amount of data.

    Args:
        record: a fit of a law with size and data.
        flops: the budget in FLOPs; or
        money: the budget in money.
        per_unit: FLOPs, or hours of training, for each unit of size x data; from the runs where left out.
        prices: of data and training.

    Raises:
        ConfigError: not exactly one budget, a law without size, or nothing that says what a run costs.
    """
    found = record.estimate
    if (flops is None) == (money is None):
        raise ConfigError("give exactly one budget: --flops or --money")
    budget = flops if flops is not None else money
    assert budget is not None  # exactly one is given
    if not (budget > 0 and math.isfinite(budget)):
        raise ConfigError(f"the budget must be positive, got {budget}")
    if not found.law.uses_size or found.table.size is None:
        raise ConfigError(
            f"law {found.law.name!r} does not depend on size; fit additive, kaplan or joint to choose a size"
        )
    unit, assumed = _per_unit(found, per_unit, counts_flops=flops is not None)
    cost = prices or Prices()
    if money is not None:
        assumed += unpriced(found.table, cost)
    tried = np.log(found.table.size)
    sizes = np.exp(np.linspace(tried.min() - _REACH, tried.max() + _REACH, _GRID))
    spent = unit * sizes if flops is not None else cost.hour + unit * sizes * cost.gpu_hour
    if not (spent > 0).all():
        raise ConfigError("prices: at least one of an hour of data and an hour of training must cost something")
    data = budget / spent
    x = axes(data, sizes, None, found.reference)
    errors = np.exp(found.law.log_error(found.vector, x)[0])
    best = int(np.argmin(errors))
    size = float(np.exp(_lowest(np.log(sizes), np.log(errors), best)))
    amount = budget / (unit * size if flops is not None else cost.hour + unit * size * cost.gpu_hour)
    drawn = np.stack([found.law.log_error(vector, x)[0] for vector in found.draws])
    places = drawn.argmin(axis=1)
    near = sizes[errors <= NEAR * errors[best]]
    return Allocation(
        size=size,
        size95=_span(found, sizes[places], size),
        data=amount,
        data95=_span(found, data[places], amount),
        error=float(errors[best]),
        error95=_span(found, np.exp(drawn.min(axis=1)), float(errors[best])),
        near_sizes=(float(near.min()), float(near.max())),
        warnings=(*record.warnings, *assumed, *_warnings(best, sizes, data, found.table.size, found.table.data)),
    )


def _warnings(best: int, sizes: Float, data: Float, tried_sizes: Float, tried_data: Float) -> list[str]:
    words = []
    if best in (0, len(sizes) - 1):
        words.append("The optimum is at the edge of the search: this law always prefers more of one of the two.")
    for what, value, tried in (("size", sizes[best], tried_sizes), ("amount of data", data[best], tried_data)):
        if not tried.min() / 10 <= value <= tried.max() * 10:
            words.append(f"The best {what}, {value:.4g}, is more than 10 times outside the range of the runs.")
    return words


def _per_unit(found: Estimate, given: float | None, *, counts_flops: bool) -> tuple[float, list[str]]:
    """Return what each unit of size x data costs, and what had to be assumed for it."""
    if given is not None:
        if not (given > 0 and math.isfinite(given)):
            raise ConfigError(f"--per-unit: expected a positive number, got {given}")
        return given, []
    unit = flops_per_unit(found.table) if counts_flops else gpu_hours_per_unit(found.table)
    if unit is not None:
        return unit, []
    column = found.table.columns.get("data", "data")
    if counts_flops and data_unit(found.table) in (None, "tokens"):
        return FLOPS_A_TOKEN, [
            f"No column counts FLOPs: {FLOPS_A_TOKEN:g} for each parameter and unit of {column!r} are assumed, as for "
            "tokens; else give --per-unit."
        ]
    wanted = "flops" if counts_flops else "gpu_hours or train_seconds"
    raise ConfigError(f"The runs do not say what a run costs: add a column {wanted}, or give --per-unit")


def _lowest(x: Float, y: Float, at: int) -> float:
    """Return where the parabola through a least point and its neighbours is lowest."""
    if at in (0, len(x) - 1):
        return float(x[at])
    before, here, after = y[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float(x[at] + (x[at + 1] - x[at]) * 0.5 * (before - after) / bend) if bend > 0 else float(x[at])


def _span(found: Estimate, drawn: Float, value: float) -> tuple[float, float]:
    """Return the 95% interval of a positive quantity."""
    runs = len(np.unique(found.table.run))
    low, high = np.exp(ends(np.log(drawn), np.asarray(math.log(value)), 0.95, runs, len(found.vector)))
    return float(low), float(high)
