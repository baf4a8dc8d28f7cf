"""Does the law predict runs that it has not seen? The most expensive ones, from all the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.fitting.estimate import Estimate, estimate
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.runs.table import RunTable

TOP_SHARE = 0.15
"""Share of the runs, by computing, that is held out by default."""
DRAWS = 100
LEAST_COVERAGE = 0.8
"""Share of held-out runs that must lie inside their 95% intervals, where they are too many for it to be chance."""
CHANCE = 0.05
"""Least probability of as few runs inside if the intervals are right: one of two outside says little."""


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """Predictions of held-out runs."""

    rule: str
    runs: int
    bias: float
    """Mean of predicted / observed - 1: positive where the law is too pessimistic."""
    mare: float
    """Mean absolute relative error."""
    coverage: float
    """Share of the runs inside the 95% interval of a single new run."""
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    """Lower ends of the 95% intervals of a single new run."""
    high: tuple[float, ...]
    data: tuple[float, ...]
    """Amount of data of each held-out run."""
    size: tuple[float, ...] | None
    """Size of each held-out run's model; None where the law does not use it."""

    @property
    def misses_too_often(self) -> bool:
        """Whether so few runs lie inside their intervals that chance does not explain it."""
        inside = round(self.coverage * self.runs)
        return self.coverage < LEAST_COVERAGE and round(float(binom.cdf(inside, self.runs, 0.95)), 9) <= CHANCE

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "rule": self.rule,
            "runs": self.runs,
            "bias": self.bias,
            "mare": self.mare,
            "coverage": self.coverage,
            "predicted": [*self.predicted],
            "observed": [*self.observed],
            "low": [*self.low],
            "high": [*self.high],
            "data": [*self.data],
            "size": None if self.size is None else [*self.size],
        }


def most_expensive(table: RunTable, uses_size: bool) -> tuple[NDArray[np.bool_], str]:
    """Return which runs are held out by default, and the rule in words.

    Laws of data alone hold out the largest amount; laws with a size the top of N D, at least one size x amount.
    """
    if not uses_size or table.size is None:
        largest = table.data.max()
        return table.data == largest, f"{table.columns.get('data', 'data')} == {largest:g}"
    compute = table.size * table.data
    edge = np.quantile(compute, 1 - TOP_SHARE)
    return compute >= edge, f"size x data >= {edge:.4g}"


def score(table: RunTable, name: str, held: NDArray[np.bool_], rule: str, delta: float) -> HoldOut:
    """Fit without the held-out runs and predict them; where their earlier checkpoints are fitted, the rule says so.

    Raises:
        ConfigError: nothing is held out, or too little is left for the law.
    """
    if not held.any():
        raise ConfigError(f"{table.path}: no run matches the hold-out {rule!r}")
    kept = table.take(~held)
    if np.isin(table.run[held], kept.run).any():
        rule = f"{rule}; includes checkpoints of fitted runs"
    try:
        fitted = estimate(kept, name, delta=delta, draws=DRAWS, with_profiles=False)
    except ConfigError as error:
        reason = str(error).removeprefix(f"{table.path}: ")
        raise ConfigError(f"{table.path}: without the {held.sum()} runs held out ({rule}): {reason}") from error
    return compare(fitted, table.take(held), rule)


def try_score(table: RunTable, name: str, delta: float) -> HoldOut | None:
    """Score the default hold-out; None where too little would be left."""
    held, rule = most_expensive(table, form(name).uses_size)
    try:
        return score(table, name, held, rule, delta)
    except ConfigError:
        return None


def score_without_least(table: RunTable, name: str, delta: float) -> tuple[float, HoldOut] | None:
    """Score the default hold-out once more without the least amount of data; the amount, and the score.

    None where too little would be left. Where so little data are no better than none, errors stand at a ceiling that no
    law here knows.
    """
    held, rule = most_expensive(table, form(name).uses_size)
    least = float(table.data.min())
    kept = held | (table.data > least)
    try:
        return least, score(table.take(kept), name, held[kept], rule, delta)
    except ConfigError:
        return None


def compare(fitted: Estimate, held: RunTable, rule: str) -> HoldOut:
    """Predict runs with a law that has not seen them."""
    size = held.size if fitted.law.uses_size else None
    predicted = np.exp(fitted.log_error(held.data, size, held.unique))
    relative = predicted / held.loss - 1
    low, high = fitted.band(held.data, size, held.unique, run=True)
    inside: Float = ((held.loss >= low) & (held.loss <= high)).astype(np.float64)
    return HoldOut(
        rule=rule,
        runs=len(held),
        bias=float(relative.mean()),
        mare=float(np.abs(relative).mean()),
        coverage=float(inside.mean()),
        predicted=tuple(predicted.tolist()),
        observed=tuple(held.loss.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        data=tuple(held.data.tolist()),
        size=None if size is None else tuple(size.tolist()),
    )
