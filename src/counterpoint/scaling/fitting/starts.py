"""Where to start a fit: exponents from a grid, everything else by linear least squares (variable projection).

For fixed exponents most laws are linear in E, A and B; non-negative least squares on L / observed - 1 gives
these in one step, so that only the exponents need a grid. The best of the grid, spread out, are the starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.optimize import nnls

from counterpoint.scaling.laws.forms import Axes, Float, Form

EXPONENTS = (0.05, 0.12, 0.2, 0.28, 0.36, 0.45, 0.55, 0.7, 0.9, 1.2)
NUM_STARTS = 10
"""Starts that are followed to their optimum."""
_FLOORS = (0.0, 0.3, 0.6, 0.8, 0.95)
"""Floors to start a law with a break from, as shares of the least error."""
_TURNS = (0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85)
"""Places of the break, as quantiles of the amounts."""
_WIDTHS = (0.02, 0.06, 0.2, 0.5)
_TINY = 1e-12
"""Share of the least error below which a term counts as this."""


def starts(law: Form, x: Axes, log_errors: Float) -> list[Float]:
    """Return vectors to start from, best first."""
    candidates = sorted(_candidates(law, x, log_errors), key=lambda each: each[0])
    chosen: list[Float] = []
    for _, vector in candidates:
        if all(np.abs(vector - other).max() > 0.05 for other in chosen):
            chosen.append(vector)
        if len(chosen) == NUM_STARTS:
            break
    limits = np.asarray(law.bounds(log_errors))
    return [np.clip(vector, limits[:, 0], limits[:, 1]) for vector in chosen]


def _candidates(law: Form, x: Axes, log_errors: Float) -> Iterator[tuple[float, Float]]:
    """Yield the squared error of ln L, and the vector."""
    for vector in _proposals(law, x, log_errors):
        value, _ = law.log_error(vector, x)
        yield float(((value - log_errors) ** 2).sum()), vector


def _proposals(law: Form, x: Axes, log_errors: Float) -> Iterator[Float]:
    match law.name:
        case "power":
            slope, level = np.polyfit(x.log_data, log_errors, 1)
            yield np.asarray([level, -slope])
        case "power_floor":
            for alpha in EXPONENTS:
                floor, data = _linear([np.exp(-alpha * x.log_data)], log_errors)
                yield np.asarray([floor, data, alpha])
        case "additive":
            yield from _additive(x.log_size, x.log_data, log_errors)
        case "joint":
            for vector, gamma in product(_additive(x.log_size, x.log_data, log_errors, EXPONENTS[::2]), (0.35, 1.0, 2)):
                yield np.append(vector, math.log(gamma))
        case "kaplan":
            yield from _kaplan(x, log_errors)
        case "broken":
            yield from _broken(x, log_errors)
        case "repetition":
            for repeat in (2.0, 6.0, 15.0, 60.0, 1000.0):
                more = np.expm1(np.maximum(x.log_data - x.log_unique, 0.0))
                log_data = x.log_unique + np.log1p(-repeat * np.expm1(-more / repeat))
                for vector in _additive(x.log_size, log_data, log_errors, EXPONENTS[::2]):
                    yield np.concatenate([vector, [math.log(repeat), math.log(5.0)]])


def _linear(terms: list[Float], log_errors: Float) -> list[float]:
    """Return ln of the floor and of each term's factor, by non-negative least squares of relative errors."""
    weights = np.exp(-log_errors)
    columns = np.stack([weights, *(term * weights for term in terms)], axis=1)
    factors, _ = nnls(columns, np.ones_like(weights))
    least = float(np.exp(log_errors.min())) * _TINY
    return [float(value) for value in np.log(np.maximum(factors, least))]


def _additive(
    log_size: Float, log_data: Float, log_errors: Float, grid: tuple[float, ...] = EXPONENTS
) -> Iterator[Float]:
    for alpha, beta in product(grid, grid):
        floor, size, data = _linear([np.exp(-alpha * log_size), np.exp(-beta * log_data)], log_errors)
        yield np.asarray([floor, size, data, alpha, beta])


def _kaplan(x: Axes, log_errors: Float) -> Iterator[Float]:
    """L^(1/beta) is linear in N^(-alpha/beta) and 1/D."""
    for alpha, beta in product(EXPONENTS, EXPONENTS):
        target = np.exp(-(log_errors - log_errors.mean()) / beta)  # weights: relative errors again
        columns = np.stack([np.exp(-x.log_size * alpha / beta) * target, np.exp(-x.log_data) * target], axis=1)
        if not np.isfinite(columns).all():
            continue
        factors, _ = nnls(columns, np.ones_like(target))
        size, data = (beta * math.log(max(factor, 1e-9)) + log_errors.mean() for factor in factors)
        yield np.asarray([size, data, alpha, beta])


def _broken(x: Axes, log_errors: Float) -> Iterator[Float]:
    """For a floor, a place and a width of the break, ln (L - E) is linear in the level and both exponents."""
    errors = np.exp(log_errors)
    for share, turn, gamma in product(_FLOORS, np.quantile(x.log_data, _TURNS), _WIDTHS):
        rest = np.log1p(-share * errors.min() / errors) + log_errors
        bent = gamma * np.logaddexp(0.0, (x.log_data - turn) / gamma)
        columns = np.stack([np.ones_like(rest), -x.log_data, -bent], axis=1)
        weight = np.exp(rest - log_errors)  # d ln L / d ln (L - E)
        data, alpha, beta = np.linalg.lstsq(columns * weight[:, None], rest * weight, rcond=None)[0]
        floor = math.log(max(share, _TINY) * errors.min())
        yield np.asarray([floor, data, max(float(alpha), 1e-3), beta, turn, math.log(gamma)])
