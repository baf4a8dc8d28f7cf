"""The law of repeated data: what a second, third, ... pass over the same data is worth (Muennighoff et al. 2023).

    L = E + A N'^-alpha + B D'^-beta
    D' = U + U R_D (1 - exp(-(D/U - 1) / R_D))                     U: unique data; D: data with repetitions
    N' = M + M R_N (1 - exp(-(N/M - 1) / R_N)), M = min(N, N*(U))  N*: best size for U under the additive law

N* follows from where the two terms fall alike: alpha A N*^-alpha = beta B U^-beta, and is taken at the law's own
parameters. exp(-x) - 1 through `expm1`: for large R the difference would vanish.
"""

from __future__ import annotations

import math

import numpy as np

from counterpoint.scaling.laws.forms import Axes, Float, Form, Value, log_sum, with_floor

_MOST = 60.0
"""ln of the most repetitions told apart; far beyond any R."""


def log_worth(log_ratio: Float, log_repeat: float) -> tuple[Float, Float, Float]:
    """Return ln (1 + R (1 - exp(-(r - 1) / R))) with r = e^log_ratio, and its derivatives by log_ratio and ln R.

    Ratios below 1 count as 1: nothing is repeated.
    """
    repeat = math.exp(log_repeat)
    more = np.expm1(np.clip(log_ratio, 0.0, _MOST))
    saturated = -np.expm1(-more / repeat)
    worth = 1 + repeat * saturated
    decayed = np.exp(-more / repeat)
    by_ratio = np.where(log_ratio > 0, decayed * (more + 1) / worth, 0.0)
    by_repeat = (repeat * saturated - decayed * more) / worth
    return np.log(worth), by_ratio, by_repeat


def _repetition(v: Float, x: Axes) -> Value:
    """[floor, size, data, alpha, beta, ln R_D, ln R_N]."""
    floor, size, data, alpha, beta, repeat_data, repeat_size = v.tolist()
    worth, _, by_repeat = log_worth(x.log_data - x.log_unique, repeat_data)
    log_data = x.log_unique + worth
    # ln N*(U): ln alpha + size - alpha n = ln beta + data - beta u, about the reference
    best = (math.log(alpha / beta) + size - data + beta * x.log_unique) / alpha
    spare = x.log_size - best
    over = spare > 0
    grown, by_spare, by_repeat_size = log_worth(spare, repeat_size)
    log_size = np.where(over, best + grown, x.log_size)
    total, share = log_sum(size - alpha * log_size, data - beta * log_data)
    rest = 1 - share
    by_best = np.where(over, 1 - by_spare, 0.0)  # d ln N' / d ln N*
    shift = -alpha * share * by_best
    gradient = np.stack(
        [
            share + shift / alpha,
            rest - shift / alpha,
            -log_size * share + shift * (1 / alpha - best) / alpha,
            -log_data * rest + shift * (x.log_unique - 1 / beta) / alpha,
            -beta * rest * by_repeat,
            -alpha * share * np.where(over, by_repeat_size, 0.0),
        ],
        axis=1,
    )
    return with_floor(floor, total, gradient)


REPETITION = Form(
    name="repetition",
    vector=("floor", "size", "data", "alpha", "beta", "log_repeat", "log_repeat_size"),
    parameters=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    uses_size=True,
    log_error=_repetition,
)
