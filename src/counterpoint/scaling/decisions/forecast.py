"""How much data a wanted error needs, at which price, and when to say nothing.

No number is given below the lower bound of the floor, and none without its warning beyond ten times the data
that were tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.decisions.needed import needed_span
from counterpoint.scaling.fitting.bootstrap import FEW_RUNS, ends, expanded
from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.laws.forms import Float, axes
from counterpoint.scaling.runs.cost import Prices, gpu_hours_per_data, unpriced

FAR = 10.0
"""Forecasts beyond this multiple of the largest amount that was tried are grey."""
_MOST = 60.0
"""ln of the largest multiple of the reference that is searched."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What an error costs."""

    target: float
    size: float | None
    """Of the model; None for laws of data alone."""
    data_now: float
    error_now: float
    """Of the law, at the largest amount that was tried."""
    data: float | None
    """Needed amount; None where it is refused or out of reach."""
    data80: tuple[float, float] | None
    data95: tuple[float, float] | None
    reachable: float
    """Share of redrawn laws under which any amount of data is enough."""
    extrapolation: float | None
    """Needed amount over the largest that was tried."""
    new_hours_cost: float | None
    gpu_hours: float | None
    """Of one training run on all of it; None where the runs do not say what they took."""
    gpu_cost: float | None
    refused: str
    """Why there is no number; empty where there is one."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON; `money` is robots and training together."""
        known = [each for each in (self.new_hours_cost, self.gpu_cost) if each is not None]
        return {
            "target": self.target,
            "size": self.size,
            "data_now": self.data_now,
            "error_now": self.error_now,
            "data": self.data,
            "data80": None if self.data80 is None else [*self.data80],
            "data95": None if self.data95 is None else [*self.data95],
            "reachable": self.reachable,
            "extrapolation": self.extrapolation,
            "new_hours_cost": self.new_hours_cost,
            "gpu_hours": self.gpu_hours,
            "gpu_cost": self.gpu_cost,
            "money": sum(known) if known else None,
            "refused": self.refused,
            "warnings": [*self.warnings],
        }


def parse_target(text: str, now: float) -> float:
    """Return the wanted error: `0.8x` is 0.8 times the present one, `0.05` is itself; raises ConfigError."""
    try:
        value = float(text[:-1]) * now if text.endswith("x") else float(text)
    except ValueError as error:
        raise ConfigError(
            f"--error: expected a number such as 0.05, or a multiple such as 0.8x, got {text!r}"
        ) from error
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"--error: expected a positive error, got {text!r}")
    return value


def forecast(record: FitRecord, target: str, *, size: float | None = None, prices: Prices | None = None) -> Forecast:
    """Return what an error needs.

    Args:
        record: the fit.
        target: `0.8x` or an error.
        size: of the model; the largest that was tried where left out.
        prices: of data and training.

    Raises:
        ConfigError: the target cannot be read, or a size is asked for of a law without.
    """
    found, table, cost = record.estimate, record.estimate.table, prices or Prices()
    if size is not None and not (size > 0 and math.isfinite(size)):
        raise ConfigError(f"--at-size: expected a positive number of parameters, got {size}")
    if size is not None and not found.law.uses_size:
        raise ConfigError(
            f"--at-size: law {found.law.name!r} does not depend on size; fit additive, kaplan or joint, or leave "
            "the flag out"
        )
    at = None if not found.law.uses_size or table.size is None else size or float(table.size.max())
    fresh = table.data if found.law.name != "repetition" or table.unique is None else table.unique
    most = float(fresh.max())  # a forecast is about data that are not repeated
    now = float(np.exp(found.log_error(np.asarray([most]), _at(at)))[0])
    wanted = parse_target(target, now)
    needed = amount_for(found, found.vector, wanted, at)
    drawn = np.asarray([amount_for(found, vector, wanted, at) for vector in found.draws])
    refused = _refusal(found, wanted, needed, at)
    given = None if refused else needed
    gpu = gpu_hours_per_data(table, at)
    hours = gpu * needed if gpu is not None and not refused else None
    return Forecast(
        target=wanted,
        size=at,
        data_now=most,
        error_now=now,
        data=given,
        data80=None if refused else _span(found, drawn, needed, wanted, at, 0.8),
        data95=None if refused else _span(found, drawn, needed, wanted, at, 0.95),
        reachable=float(np.isfinite(drawn).mean()),
        extrapolation=None if refused else needed / most,
        new_hours_cost=None if refused else max(needed - most, 0.0) * cost.hour,
        gpu_hours=hours,
        gpu_cost=None if hours is None else hours * cost.gpu_hour,
        refused=refused,
        warnings=(
            *record.warnings,
            *([] if refused else [*_warnings(found, needed, most, drawn), *_outside(found, needed, at)]),
            *([] if refused else [*unpriced(table, cost), *_untimed(gpu, cost)]),
        ),
    )


def amount_for(found: Estimate, vector: Float, target: float, size: float | None) -> float:
    """Return the amount of data at which a law reaches an error; infinite where none does."""

    def excess(log_ratio: float) -> float:
        x = axes(np.exp([log_ratio + found.reference[1]]), _at(size), None, found.reference)
        return float(found.law.log_error(vector, x)[0][0]) - math.log(target)

    low, high = -_MOST, _MOST
    if excess(low) <= 0:
        return 0.0
    if excess(high) > 0:
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return math.exp(high + found.reference[1])


def _refusal(found: Estimate, target: float, needed: float, size: float | None) -> str:
    ends = np.asarray([found.table.data.min(), found.table.data.max()])
    least, most = found.log_error(ends, None if size is None else np.full(2, size))
    if not most < least:
        return "no law: by this fit more data do not lower the error, so that no amount of them buys one"
    low = _least_floor(found)
    if target <= low:
        return f"the error {target:.4g} is below the floor's lower bound, {low:.4g}; no amount of data reaches it"
    if not math.isfinite(needed):
        others = "other data" if size is None else "a larger model or other data"
        return f"This law never reaches the error {target:.4g}, however much data you add; look at {others}"
    return ""


def _least_floor(found: Estimate) -> float:
    """Return the lower bound of the floor: of the bootstrap, or of the profile where there is one run only."""
    if "E" not in found.parameters:
        return -math.inf
    floor = found.parameters["E"]
    return next((low for low in (floor.ci95[0], floor.profile95[0]) if math.isfinite(low)), -math.inf)


def _warnings(found: Estimate, needed: float, most: float, drawn: Float) -> list[str]:
    words = []
    if needed > FAR * most:
        words.append(
            f"{needed / most:.3g} times the largest amount in the runs; beyond {FAR:.0f} times, a forecast is a "
            "guess, and its interval, which takes the form of the law for true, is too narrow."
        )
    if needed > most and "E" not in found.parameters:
        words.append(
            "The interval assumes E = 0. If there is a floor that these runs cannot show, you would need more data."
        )
    if not np.isfinite(drawn).all():
        words.append(
            f"In {100 * (1 - np.isfinite(drawn).mean()):.0f}% of the bootstrap draws no amount of data is enough."
        )
    return words


def _outside(found: Estimate, needed: float, size: float | None) -> list[str]:
    """Say where a forecast leaves the sizes, or goes below the amounts, that were tried."""
    words, least = [], float(found.table.data.min())
    if needed < least:
        words.append(f"{needed:.3g} is below the smallest amount in the runs, {least:.3g}, so no run supports it.")
    if size is not None and found.table.size is not None:
        smallest, largest = float(found.table.size.min()), float(found.table.size.max())
        if not smallest / FAR <= size <= largest * FAR:
            words.append(
                f"Size {size:.3g} is more than {FAR:.0f} times outside the sizes in the runs, {smallest:.3g} to "
                f"{largest:.3g}: a guess."
            )
    return words


def _untimed(gpu: float | None, cost: Prices) -> list[str]:
    if gpu is not None or cost.gpu_hour == 0:
        return []
    return ["The cost leaves out training: the runs have no column gpu_hours or train_seconds."]


def _span(
    found: Estimate, drawn: Float, needed: float, target: float, size: float | None, level: float
) -> tuple[float, float]:
    """Return the interval of the needed amount; its end is infinite where enough redrawn laws never get there."""
    runs, parameters = len(np.unique(found.table.run)), len(found.vector)
    if runs == len(found.table) and runs <= FEW_RUNS and needed > 0:
        return needed_span(found, needed, target, size, level)
    if runs > FEW_RUNS:
        low, high = np.quantile(drawn, expanded(level, runs, parameters), method="nearest")  # a number or infinity
        return float(low), float(high)
    reached = drawn[np.isfinite(drawn) & (drawn > 0)]
    if needed <= 0:
        return math.nan, math.nan
    low, high = np.exp(ends(np.log(reached), np.asarray(math.log(needed)), level, runs, parameters))
    never = float(np.isinf(drawn).mean()) > (1 - level) / 2
    return float(low), math.inf if never else float(high)


def _at(size: float | None) -> Float | None:
    return None if size is None else np.asarray([size])
