"""Intervals for what was measured: Wilson for success rates, cluster bootstrap for errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import CounterpointError
from counterpoint.core.seeding import generator


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high

    def as_list(self) -> list[float]:
        """Return [low, high], as in `ci95`."""
        return [self.low, self.high]


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a success rate (Wilson 1927), valid also for 0 and for all successes.

    Raises:
        CounterpointError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise CounterpointError(f"success rate: expected 0 <= successes <= trials > 0, got {successes} of {trials}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(low=low, high=high)


def bootstrap_mean(
    values: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a percentile interval of the mean of `values` [n], resampling whole clusters (episodes).

    Decisions of one episode are not independent, so whole episodes are resampled (Efron and Tibshirani 1993).
    With one cluster the interval is unbounded, because the spread is unknown.
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    if len(sums) < 2:
        return Interval(low=-math.inf, high=math.inf)
    picks = generator(seed, "bootstrap_mean").integers(len(sums), size=(draws, len(sums)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=float(low), high=float(high))
