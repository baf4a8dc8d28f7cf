"""Finding the optimum of a law on points: Huber loss of ln L, summed, from many starts, then polished.

The loss is summed, never averaged: an average is so small that the optimiser stops early (Besiroglu et al. 2024).
Huber's flat sides stall far-off starts, so each start first descends a wide Huber, then the wanted one.

SciPy's L-BFGS calls BLAS on matrices of a few numbers; on several threads these wait for each other a hundred times
longer than they compute, so BLAS is held to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from counterpoint.scaling.fitting.starts import starts
from counterpoint.scaling.laws.forms import Axes, Float, Form

WIDE = 1.0
SAME_OPTIMUM = 1e-4
"""Starts whose loss is within this share of the best have reached it."""
_POLISHES = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """The best vector of a law on points."""

    vector: Float
    objective: float
    """Summed Huber loss of ln L."""
    starts: int
    starts_at_optimum: int


def solve(law: Form, x: Axes, log_errors: Float, delta: float, weights: Float | None = None) -> Solution:
    """Fit from many starts; `weights` count points (default 1 each)."""
    found = [descend(law, start, x, log_errors, delta, weights) for start in starts(law, x, log_errors)]
    best = min(found, key=lambda each: each[1])
    vector, objective = polish(law, best[0], x, log_errors, delta, weights)
    reached = sum(value <= objective * (1 + SAME_OPTIMUM) + 1e-12 for _, value in found)
    return Solution(vector=vector, objective=objective, starts=len(found), starts_at_optimum=max(reached, 1))


def huber(law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, weights: Float | None = None) -> float:
    """Return the summed Huber loss of ln L at a vector."""
    return _loss(law, vector, x, log_errors, delta, weights)[0]


def descend(
    law: Form,
    start: Float,
    x: Axes,
    log_errors: Float,
    delta: float,
    weights: Float | None = None,
    widths: Sequence[float] = (WIDE,),
    fixed: dict[int, float] | None = None,
) -> tuple[Float, float]:
    """Follow one start through `widths` and then `delta`; entries of `fixed` stay at their values."""
    bounds = law.bounds(log_errors)
    vector = np.clip(start, [low for low, _ in bounds], [high for _, high in bounds])
    for entry, value in (fixed or {}).items():
        bounds[entry] = (value, value)
        vector[entry] = value
    for width in (*widths, delta, delta):

        def scaled(guess: Float, width: float = width) -> tuple[float, Float]:
            value, gradient = _loss(law, guess, x, log_errors, width, weights)
            return value / width, gradient / width

        with one_thread():
            answer = minimize(
                scaled, vector, jac=True, method="L-BFGS-B", bounds=bounds,
                options={"maxiter": 400, "maxfun": 600, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 20},
            )  # fmt: skip
        if np.isfinite(answer.fun):
            vector = np.asarray(answer.x)
    return vector, huber(law, vector, x, log_errors, delta, weights)


def one_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread inside a `with`: small matrices wait for each other on several."""
    limiter: AbstractContextManager[object] = _threads().limit(limits=1, user_api="blas")
    return limiter


@cache
def _threads() -> ThreadpoolController:
    """Return what holds BLAS to one thread; looked up once, because that takes longer than a fit."""
    return ThreadpoolController()


def polish(
    law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, weights: Float | None = None
) -> tuple[Float, float]:
    """Iterate reweighted least squares (which handles Huber's kinks exactly) and descent until neither gains."""
    best, objective = vector, huber(law, vector, x, log_errors, delta, weights)
    for _ in range(_POLISHES):
        stepped = _reweighted(law, best, x, log_errors, delta, weights)
        moved, value = descend(law, stepped, x, log_errors, delta, weights, widths=())
        if not value < objective * (1 - 1e-9):
            break
        best, objective = moved, value
    return best, objective


def _reweighted(law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, weights: Float | None) -> Float:
    """Take Gauss-Newton steps on the weighted squares that touch the Huber loss from above, damped to descend."""
    limits = np.asarray(law.bounds(log_errors))
    objective = huber(law, vector, x, log_errors, delta, weights)
    damping = 1e-6
    for _ in range(60):
        value, jacobian = law.log_error(vector, x)
        residual = value - log_errors
        weight = np.minimum(1.0, delta / np.maximum(np.abs(residual), 1e-300)) * (1.0 if weights is None else weights)
        normal = jacobian.T @ (jacobian * weight[:, None])
        step = np.linalg.lstsq(
            normal + damping * np.diag(np.diag(normal) + 1e-12), jacobian.T @ (weight * residual), rcond=None
        )[0]
        guess = np.clip(vector - step, limits[:, 0], limits[:, 1])
        found = huber(law, guess, x, log_errors, delta, weights)
        if found < objective:
            gain = objective - found
            vector, objective, damping = guess, found, damping / 5
            if gain < 1e-13 * objective:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    return vector


def _loss(
    law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, weights: Float | None
) -> tuple[float, Float]:
    value, jacobian = law.log_error(vector, x)
    residual = value - log_errors
    size = np.abs(residual)
    loss = np.where(size <= delta, residual**2 / 2, delta * (size - delta / 2))
    pull = np.clip(residual, -delta, delta)
    if weights is not None:
        loss, pull = loss * weights, pull * weights
    return float(loss.sum()), np.asarray(pull @ jacobian)
