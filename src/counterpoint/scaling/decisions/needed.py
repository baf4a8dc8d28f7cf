"""How much data an error may need, by few runs: the profile of the needed amount itself.

The amount u takes the place of the level of the law's data term, so that every law in the family reaches the wanted
error at exactly u; all else is fitted again for each u. For a power law by least squares this is the interval of
Fieller (1954), which no symmetric interval of ln u comes near: the slope is uncertain too, and where it may be next to
nothing, no amount is enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.fitting.profile import Closed, edges
from counterpoint.scaling.laws.forms import Axes, Float, Form, Value, axes

_FARTHEST = 60.0
"""ln of the largest multiple of the reference that is searched."""
_OUT_OF_REACH = 50.0
"""ln L where no level of the data term reaches the wanted error."""


def needed_span(found: Estimate, needed: float, target: float, size: float | None, level: float) -> tuple[float, float]:
    """Return the interval of the amount at which the law reaches an error; infinite where its slope may be none.

    Args:
        found: a fit in which every run is one point.
        needed: the amount by the fit.
        target: the error.
        size: of the model; None for laws of data alone.
        level: of the interval, such as 0.95.
    """
    x, law = found.table.axes(), _reaching(found.law, target, size, found.reference)
    entry = law.vector.index("data")
    start = found.vector.copy()
    start[entry] = math.log(needed) - found.reference[1]
    low, high = edges(law, start, entry, x, found.table.log_loss, found.delta, width=0.5, level=level)
    return _amount(low, found.reference[1], 0.0), _amount(high, found.reference[1], math.inf)


def _amount(edge: Closed, about: float, none: float) -> float:
    return math.exp(edge.at + about) if edge.closed else none


@dataclass(frozen=True, kw_only=True)
class _Reaching(Form):
    """A law whose data term is so high that it reaches an error at the amount that stands in its place."""

    inner: Form
    log_target: float
    log_size: Float | None
    """[1] ln of the size about the reference; None for laws of data alone."""

    def bounds(self, log_errors: Float) -> list[tuple[float, float]]:
        limits = self.inner.bounds(log_errors)
        limits[self.vector.index("data")] = (-_FARTHEST, _FARTHEST)
        if "floor" in self.vector:  # a floor lies below the wanted error
            at = self.vector.index("floor")
            limits[at] = (limits[at][0], min(limits[at][1], self.log_target - 1e-6))
        return limits


def _reaching(law: Form, target: float, size: float | None, reference: tuple[float, float]) -> _Reaching:
    log_target, entry = math.log(target), law.vector.index("data")
    log_size = None if size is None else np.asarray([math.log(size) - reference[0]])

    def log_error(outer: Float, x: Axes) -> Value:
        amount = np.exp(outer[[entry]] + reference[1])
        at = axes(amount, None if log_size is None else np.exp(log_size + reference[0]), None, reference)
        inner = outer.copy()
        level = _level(law, inner, entry, at, log_target)
        if level is None:
            return np.full(len(x), _OUT_OF_REACH), np.zeros((len(x), len(outer)))
        inner[entry] = level
        there = law.log_error(inner, at)[1][0]
        value, gradient = law.log_error(inner, x)
        moved = gradient - gradient[:, [entry]] * (there / there[entry])[None, :]
        moved[:, entry] = 0.0  # the amount is held
        return value, moved

    return _Reaching(
        name=law.name,
        vector=law.vector,
        parameters=law.parameters,
        uses_size=law.uses_size,
        log_error=log_error,
        inner=law,
        log_target=log_target,
        log_size=log_size,
    )


def _level(law: Form, vector: Float, entry: int, at: Axes, log_target: float) -> float | None:
    """Return the level of the data term at which ln L at a point, which grows with it, is `log_target`."""
    low, high = log_target - 400.0, log_target + 400.0
    trial = vector.copy()
    level = float(np.clip(vector[entry], low, high))
    for _ in range(200):
        trial[entry] = level
        value, gradient = law.log_error(trial, at)
        excess, slope = float(value[0]) - log_target, float(gradient[0, entry])
        if abs(excess) < 1e-12:
            return level
        low, high = (low, level) if excess > 0 else (level, high)
        step = level - excess / slope if slope > 1e-12 else math.nan
        level = step if low < step < high else (low + high) / 2
        if high - low < 1e-9:
            break
    return level if abs(excess) < 1e-6 else None
