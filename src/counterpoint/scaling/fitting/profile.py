"""Profile intervals: how far a parameter can go while the others make up for it.

For each value of one parameter all others are fitted again; the interval is where twice the rise of the
Huber loss, over the loss's own scale, stays below the square of Student's t at 97.5% (for many points, chi-squared
with one degree of freedom). The scale is E[psi^2] / E[psi'], the ratio by which a robust loss stretches likelihood
ratios, with n - p for n: with few points both count.

A parameter whose profile does not rise on one side is not identified by the points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from counterpoint.scaling.fitting.bootstrap import floored
from counterpoint.scaling.fitting.solve import descend
from counterpoint.scaling.laws.forms import Axes, Float, Form, Value

ENTRIES = {
    "E": "floor", "alpha": "alpha", "beta": "beta", "gamma": "log_gamma",
    "D_1": "break", "R_D": "log_repeat", "R_N": "log_repeat_size",
}  # fmt: skip
"""Reported parameters that stand in a law's vector as they are, or as their logarithm."""
_DOUBLINGS = 14
_NO_FLOOR = 7.0
"""A floor by so much (of ln L) below the least error cannot be told from none."""
_HALVINGS = 9
_EXACT = 1e-14
"""Least variance of ln L: points on the very curve of a law have no scatter to compare with."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The 95% profile interval of one parameter; an open side is infinite (or 0 for a scale or a floor)."""

    low: float
    high: float
    identified: bool
    """Whether both sides are closed."""


class Closed(NamedTuple):
    """One end of a profile interval."""

    at: float
    closed: bool
    """Whether the profile rises there; otherwise `at` is the limit of the search."""


def profile(law: Form, vector: Float, name: str, x: Axes, log_errors: Float, delta: float, width: float) -> Profile:
    """Return the profile interval of a reported parameter.

    Args:
        law: the law.
        vector: its optimum.
        name: one of `law.parameters`.
        x: the points.
        log_errors: their ln L.
        delta: of the Huber loss.
        width: first step to each side, about a standard error (of the parameter, or of its logarithm for scales).
    """
    shaped, entry, value, is_log = _with_parameter(law, name, vector, x.reference)
    limits = shaped.bounds(log_errors)[entry]
    width = max(width, 1e-6)
    if name == "E" and value[entry] < limits[1] - _NO_FLOOR:  # far down ln E nothing changes: look from where it does
        value = value.copy()
        value[entry], width = limits[1] - _NO_FLOOR, max(width, 0.2)
    low, high = edges(shaped, value, entry, x, log_errors, delta, width=width)
    if is_log:
        open_high = _exp(limits[1]) if name == "E" else math.inf  # a floor lies below every error
        ends = _exp(low.at) if low.closed else 0.0, _exp(high.at) if high.closed else open_high
    else:
        ends = low.at if low.closed else limits[0], high.at if high.closed else limits[1]
    return Profile(low=ends[0], high=ends[1], identified=low.closed and high.closed)


def edges(
    law: Form, vector: Float, entry: int, x: Axes, log_errors: Float, delta: float, *, width: float, level: float = 0.95
) -> tuple[Closed, Closed]:
    """Return both ends of the profile interval of one entry of a law's vector, from near its optimum.

    Args:
        law: the law.
        vector: its optimum.
        entry: place in the vector.
        x: the points.
        log_errors: their ln L.
        delta: of the Huber loss.
        width: first step to each side.
        level: of the interval.
    """
    is_floor = law.vector[entry] == "floor"
    best = _objective(law, vector, x, log_errors, delta, {})
    residual = law.log_error(vector, x)[0] - log_errors
    freedom = max(len(residual) - len(vector), 1)
    scale = _scale(residual, delta, freedom)
    threshold = float(student.ppf((1 + level) / 2, freedom)) ** 2
    limits = law.bounds(log_errors)[entry]

    def rises(at: float, start: Float) -> tuple[bool, Float]:
        near = [start] if is_floor else floored(law, start, log_errors)  # a floor of 0 has no slope to leave by
        tries = [descend(law, each, x, log_errors, delta, widths=(), fixed={entry: at}) for each in near]
        found, loss = min(tries, key=lambda each: each[1])
        return 2 * (loss - best) / scale > threshold, found

    low, high = (_edge(rises, vector, entry, step, limit) for step, limit in zip((-width, width), limits, strict=True))
    return Closed(*low), Closed(*high)


def _scale(residual: Float, delta: float, freedom: int) -> float:
    """Return E[psi^2] / E[psi'] of the Huber loss at some residuals.

    A small delta holds few residuals, among them one a parameter that the fit puts at 0; how dense residuals are
    about 0 is then told from a wider neighbourhood.
    """
    psi = np.clip(residual, -delta, delta)
    spread = 1.4826 * float(np.median(np.abs(residual)))
    near = max(delta, spread * len(residual) ** -0.2)
    inside = float((np.abs(residual) < near).sum()) - (len(residual) - freedom)
    share = max(inside, 1.0) / freedom * delta / near
    return max(float((psi**2).sum() / (freedom * share)), _EXACT)


def is_scale(name: str) -> bool:
    """Whether a parameter is positive and spread over orders of magnitude, so that steps are in its logarithm."""
    return name not in ("alpha", "beta")


def _edge(
    rises: Callable[[float, Float], tuple[bool, Float]], optimum: Float, entry: int, step: float, limit: float
) -> tuple[float, bool]:
    """Return where the profile crosses the threshold, and whether it does before the limit."""
    inner, start = float(optimum[entry]), optimum
    outer = inner
    for _ in range(_DOUBLINGS):
        outer = inner + step if abs(inner + step - limit) > 0 and (limit - inner - step) * step > 0 else limit
        crossed, found = rises(outer, start)
        if crossed:
            break
        if outer == limit:
            return limit, False
        inner, start, step = outer, found, step * 2
    else:
        return outer, False
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        crossed, found = rises(middle, start)
        if crossed:
            outer = middle
        else:
            inner, start = middle, found
    return (inner + outer) / 2, True


def _objective(law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, fixed: dict[int, float]) -> float:
    return descend(law, vector, x, log_errors, delta, widths=(), fixed=fixed)[1]


def _with_parameter(
    law: Form, name: str, vector: Float, reference: tuple[float, float]
) -> tuple[Form, int, Float, bool]:
    """Return the law with the parameter as an entry of its vector, its place, and the optimum in that form."""
    if name in ENTRIES:
        entry = law.vector.index(ENTRIES[name])
        if name != "D_1":
            return law, entry, vector, is_scale(name)
        moved, place = _shifted(law, entry, reference[1])
        return moved, place, _moved(vector, entry, reference[1]), True
    term, exponent = ("size", "alpha") if name == "A" and "size" in law.vector else ("data", "beta")
    if exponent not in law.vector or law.name == "broken":
        exponent = "alpha"
    about = reference[0] if term == "size" else reference[1]
    return _uncentred(law, law.vector.index(term), law.vector.index(exponent), about, vector)


def _uncentred(law: Form, term: int, exponent: int, about: float, vector: Float) -> tuple[Form, int, Float, bool]:
    """Put ln of the reported scale in the place of a term's level: level = ln A - exponent about, or as a ratio."""
    is_ratio = law.name in ("power", "power_floor", "kaplan")

    def inner(outer: Float) -> Float:
        v = outer.copy()
        v[term] = v[exponent] * (v[term] - about) if is_ratio else v[term] - v[exponent] * about
        return v

    def log_error(outer: Float, x: Axes) -> Value:
        value, gradient = law.log_error(inner(outer), x)
        changed = gradient.copy()
        if is_ratio:
            changed[:, term] = gradient[:, term] * outer[exponent]
            changed[:, exponent] = gradient[:, exponent] + gradient[:, term] * (outer[term] - about)
        else:
            changed[:, exponent] = gradient[:, exponent] - gradient[:, term] * about
        return value, changed

    start = vector.copy()
    start[term] = about + vector[term] / vector[exponent] if is_ratio else vector[term] + vector[exponent] * about
    wide = start[term] - 400.0, start[term] + 400.0
    return _Reshaped.of(law, log_error, term, wide), term, start, True


def _shifted(law: Form, entry: int, by: float) -> tuple[Form, int]:
    """Move one entry by a constant, so that it is ln of the reported value."""

    def log_error(outer: Float, x: Axes) -> Value:
        return law.log_error(_moved(outer, entry, -by), x)

    return _Reshaped.of(law, log_error, entry, (by - 20.0, by + 20.0)), entry


def _moved(vector: Float, entry: int, by: float) -> Float:
    moved = vector.copy()
    moved[entry] += by
    return moved


@dataclass(frozen=True, kw_only=True)
class _Reshaped(Form):
    """A form with another meaning, and other limits, of one entry."""

    entry: int
    limits: tuple[float, float]

    @staticmethod
    def of(law: Form, log_error: Callable[[Float, Axes], Value], entry: int, limits: tuple[float, float]) -> _Reshaped:
        return _Reshaped(
            name=law.name,
            vector=law.vector,
            parameters=law.parameters,
            uses_size=law.uses_size,
            log_error=log_error,
            entry=entry,
            limits=limits,
        )

    def bounds(self, log_errors: Float) -> list[tuple[float, float]]:
        limits = super().bounds(log_errors)
        limits[self.entry] = self.limits
        return limits


def _exp(value: float) -> float:
    return math.exp(value) if abs(value) < 700 else math.nan
