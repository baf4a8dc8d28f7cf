"""Do small models stop absorbing data? A test against a null law, never by eye.

Under any law with a size term small models visibly level off: a plateau alone is no ossification. The null is the
`joint` law with gamma free (gamma = 1 is Hoffmann et al., gamma = beta Kaplan et al.; with gamma fixed at 1 every
Kaplan world would be flagged). For each size and each hinge in ln D:

    1. fit the null to everything but the runs of this size and smaller ones beyond the hinge
    2. take the prediction error of this size's runs; its slope beyond the hinge, relative to its offset before,
       is the statistic: one-sided t, with the null's own uncertainty added (delta method)
    3. the index is 1 - observed / predicted late slope: 0 healthy, 1 flat, above 1 rising

P values are corrected for the hinges (Bonferroni) and for the sizes (Holm). A threshold of size is claimed only where
a step in the index beats a constant and a line clearly, and only as a bracket.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.fitting.bootstrap import floored
from counterpoint.scaling.fitting.noise import noise_delta
from counterpoint.scaling.fitting.solve import descend, polish, solve
from counterpoint.scaling.laws.forms import Axes, Float
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.ossification.threshold import Threshold, find_threshold
from counterpoint.scaling.runs.column_names import is_error
from counterpoint.scaling.runs.roles import plain
from counterpoint.scaling.runs.table import RunTable

Verdict = Literal["regressing", "ossifying", "capacity-limited", "no evidence"]
FLAGGED: tuple[Verdict, ...] = ("ossifying", "regressing")
HINGES = (0.35, 0.5, 0.65)
"""Places of the hinge in the range of ln D."""
NAMED = 6
"""Sizes that a warning names."""
LEVEL = 0.05
LEAST_INDEX = 0.25
_ALIKE = 1e-3
"""Difference of ln N up to which sizes are one."""
_RATE = re.compile(r"(?:^|_)(success(es|ful)?|succeeded|solved|failures?|failed)(?:_|$)")
RISE = 0.01
RISE_SIGMAS = 4.0
"""A single curve that rises by more than both (share of its least error, noise) overfits."""


@dataclass(frozen=True, kw_only=True)
class SizeVerdict:
    """What the test says of one size."""

    size: float
    index: float
    """1 - observed / predicted late slope at the hinge with the least p."""
    ci95: tuple[float, float]
    verdict: Verdict
    p: float
    """Corrected for hinges and sizes."""
    hinge: float
    """Amount of data where the hinge stands."""
    predicted_slope: float
    """d ln L / d ln D beyond the hinge under the null."""
    observed_slope: float
    overfits: bool
    """Whether the curve itself rises at its end: several passes over little data do that too."""
    null_data: tuple[float, ...]
    """Amounts of data that this size was trained on, each once."""
    null_error: tuple[float, ...]
    """What the null, fitted without this and smaller sizes beyond the hinge, predicts there."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "size": self.size,
            "index": self.index,
            "ci95": [*self.ci95],
            "verdict": self.verdict,
            "p": self.p,
            "hinge": self.hinge,
            "predicted_slope": self.predicted_slope,
            "observed_slope": self.observed_slope,
            "overfits": self.overfits,
        }


@dataclass(frozen=True, kw_only=True)
class Ossification:
    """What the test says of a table of runs."""

    sizes: tuple[SizeVerdict, ...]
    threshold: Threshold
    null: dict[str, float]
    """Parameters of the null on all runs."""
    noise: float
    """Standard deviation of ln L between runs."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "sizes": [each.to_dict() for each in self.sizes],
            "threshold": self.threshold.to_dict(),
            "null": dict(self.null),
            "noise": self.noise,
            "warnings": [*self.warnings],
        }


@dataclass(frozen=True, kw_only=True)
class _Late:
    """One size at one hinge."""

    hinge: float
    slope: float
    """Of the prediction error beyond the hinge."""
    se: float
    freedom: int
    predicted: float
    vector: Float
    """The null that was fitted without what is tested."""

    @property
    def p(self) -> float:
        return float(student.sf(self.slope / self.se, self.freedom)) if self.se > 0 else 1.0

    @property
    def index(self) -> float:
        return self.slope / abs(self.predicted) if self.predicted else math.nan

    def interval(self) -> tuple[float, float]:
        half = float(student.ppf(0.975, self.freedom)) * self.se / abs(self.predicted) if self.predicted else math.nan
        return self.index - half, self.index + half


def ossification(table: RunTable, on_size: Callable[[], object] | None = None) -> Ossification:
    """Test every size of a table of runs; `on_size` is called after each.

    Raises:
        ConfigError: no sizes, or too few sizes or amounts to fit the null and look past a hinge; a rate of success.
    """
    _check_error(table)
    if table.size is None:
        raise ConfigError(f"{table.path}: no column for size; the test compares sizes, so name it with --size")
    given, table = len(np.unique(table.size)), replace(table, size=_alike(table.size))
    assert table.size is not None  # as given
    x, log_errors, sizes = table.axes(), table.log_loss, np.unique(table.size)
    amounts = np.unique(x.log_data)
    if len(sizes) < 3 or len(amounts) < 5:
        raise ConfigError(
            f"{table.path}: {len(sizes)} sizes and {len(amounts)} amounts of data; the test needs 3 sizes and 5 amounts"
        )
    null = form("joint")
    delta = noise_delta(table, null, x)
    whole = solve(null, x, log_errors, delta)
    found: list[tuple[float, list[_Late]]] = []
    for size in sizes:
        own = table.size == size
        found.append((float(size), _at_hinges(table.size <= size, own, x, log_errors, delta, whole.vector)))
        if on_size is not None:
            on_size()
    adjusted = _holm([min([1.0, *(len(late) * each.p for each in late)]) for _, late in found])
    verdicts = []
    for (size, late), p in zip(found, adjusted, strict=True):
        if late:
            rows = table.size == size
            verdicts.append(_verdict(size, late, p, x, log_errors, rows, delta / 1.35))
    warnings = _warnings(table, [size for size, late in found if not late])
    ends = (float(np.exp(x.log_data.min() + x.reference[1])), float(np.exp(x.log_data.max() + x.reference[1])))
    if given > len(sizes):
        warnings.append(f"{given} sizes are treated as {len(sizes)}: sizes within 0.1% of each other count as one.")
    if ends[1] < 10 * ends[0]:
        warnings.append(
            f"Only {ends[1] / ends[0]:.1f}x between the smallest and the largest amount of data, so late slopes "
            "are imprecise."
        )
    return Ossification(
        sizes=tuple(verdicts),
        threshold=find_threshold(
            np.asarray([each.size for each in verdicts]),
            np.asarray([each.index for each in verdicts]),
            np.asarray([each.verdict in FLAGGED for each in verdicts]),
            np.asarray([(each.ci95[1] - each.ci95[0]) / 3.92 for each in verdicts]),
        ),
        null=null.report(whole.vector, x.reference),
        noise=delta / 1.35,
        warnings=tuple(warnings),
    )


def _alike(size: Float) -> Float:
    """Return sizes with those that lie next to each other, as read off a figure, replaced by the least of them."""
    values, place = np.unique(size, return_inverse=True)
    begins = np.concatenate([[True], np.diff(np.log(values)) > _ALIKE])
    return np.asarray(values[begins][np.cumsum(begins) - 1][place.ravel()])


def _check_error(table: RunTable) -> None:
    """Raise ConfigError for what no verdict may rest on: rates of success (arXiv 2304.15004), errors all alike."""
    column = table.columns.get("loss", "loss")
    if _RATE.search(plain(column)) and not is_error(column):
        raise ConfigError(
            f"{table.path}: column {column!r} is a rate of success or failure, which stays flat and then jumps "
            "where the "
            "model changes smoothly; name a continuous error with --loss, such as the next-action error"
        )
    if np.ptp(table.log_loss) == 0:
        raise ConfigError(
            f"{table.path}: column {column!r} (loss) is the same in every row, so there is nothing to test"
        )


def _at_hinges(
    up_to: NDArray[np.bool_], own: NDArray[np.bool_], x: Axes, log_errors: Float, delta: float, start: Float
) -> list[_Late]:
    low, high = float(x.log_data.min()), float(x.log_data.max())
    late = []
    for share in HINGES:
        hinge = low + share * (high - low)
        beyond = x.log_data > hinge
        kept = ~(up_to & beyond)
        before, after = own & ~beyond, own & beyond
        enough = len(np.unique(x.log_data[before])) >= 1 and len(np.unique(x.log_data[after])) >= 2
        if enough and own.sum() >= 4 and kept.sum() > 6:
            late.append(_late_slope(kept, own, hinge, x, log_errors, delta, start))
    return late


def _late_slope(
    kept: NDArray[np.bool_],
    own: NDArray[np.bool_],
    hinge: float,
    x: Axes,
    log_errors: Float,
    delta: float,
    start: Float,
) -> _Late:
    null, rows = form("joint"), np.flatnonzero(kept)
    seen, answers = x.take(rows), log_errors[rows]
    near = [each for one in _nearby(start) for each in floored(null, one, answers)]
    tries = [descend(null, each, seen, answers, delta) for each in near]
    vector, _ = polish(null, min(tries, key=lambda each: each[1])[0], seen, answers, delta)
    covariance = _covariance(vector, seen, answers, delta)
    mine = x.take(np.flatnonzero(own))
    predicted, jacobian = null.log_error(vector, mine)
    past = np.maximum(mine.log_data - hinge, 0.0)
    design = np.stack([np.ones_like(past), past], axis=1)
    solver = np.linalg.pinv(design)
    error = log_errors[own] - predicted
    offset, slope = solver @ error
    residual = error - design @ np.asarray([offset, slope])
    freedom = max(len(error) - 2, 1)
    noise = max(float((residual**2).sum() / freedom), (delta / 1.35) ** 2)
    moved = solver[1] @ jacobian  # d slope / d vector
    variance = noise * float((solver[1] ** 2).sum()) + float(moved @ covariance @ moved)
    return _Late(
        hinge=hinge,
        slope=float(slope),
        se=variance**0.5,
        freedom=freedom,
        predicted=_slope(mine.log_data[past > 0], predicted[past > 0]),
        vector=vector,
    )


def _slope(log_data: Float, log_errors: Float) -> float:
    about = log_data - log_data.mean()
    return float(about @ log_errors / (about @ about))


def _nearby(start: Float) -> list[Float]:
    """Return the null on all runs, and two with the blend between its terms sharper and softer."""
    return [start, *(np.concatenate([start[:-1], [gamma]]) for gamma in (math.log(0.4), 0.0))]


def _covariance(vector: Float, x: Axes, log_errors: Float, delta: float) -> Float:
    """Return the sandwich covariance of the null; directions that the runs do not bound get a wide prior."""
    value, jacobian = form("joint").log_error(vector, x)
    residual = value - log_errors
    psi = np.clip(residual, -delta, delta)
    inside = (np.abs(residual) <= delta).astype(np.float64)
    inside = np.maximum(inside, 0.2)  # a Huber loss with few points inside has no usable curvature
    prior = np.diag(np.full(len(vector), 1e-2 * delta**2))
    curvature = jacobian.T @ (jacobian * inside[:, None]) + prior
    scores = jacobian.T @ (jacobian * (psi**2)[:, None])
    inverse = np.linalg.inv(curvature)
    spread = len(value) / max(len(value) - len(vector), 1)
    return np.asarray(inverse @ scores @ inverse * spread)


def _verdict(
    size: float, late: list[_Late], p: float, x: Axes, log_errors: Float, rows: NDArray[np.bool_], noise: float
) -> SizeVerdict:
    best = min(late, key=lambda each: each.p)
    interval = best.interval()
    observed = best.predicted + best.slope
    upward = observed - float(student.ppf(0.95, best.freedom)) * best.se > 0
    verdict: Verdict = "no evidence"
    own = x.take(np.flatnonzero(rows))
    amounts, first = np.unique(own.log_data, return_index=True)
    null_error = np.exp(form("joint").log_error(best.vector, own.take(first))[0])
    if p < LEVEL and upward:
        verdict = "regressing"
    elif p < LEVEL and best.index > LEAST_INDEX and interval[0] > 0:
        verdict = "ossifying"
    elif abs(best.predicted) < 2 * best.se:
        verdict = "capacity-limited"
    return SizeVerdict(
        size=size,
        index=best.index,
        ci95=interval,
        verdict=verdict,
        p=p,
        hinge=float(np.exp(best.hinge + x.reference[1])),
        predicted_slope=best.predicted,
        observed_slope=observed,
        overfits=_rises(x.log_data[rows], log_errors[rows], noise),
        null_data=tuple(np.exp(amounts + x.reference[1]).tolist()),
        null_error=tuple(null_error.tolist()),
    )


def _rises(log_data: Float, log_errors: Float, noise: float) -> bool:
    """Whether a curve ends above its least mean by more than RISE and RISE_SIGMAS of noise."""
    amounts, place = np.unique(log_data, return_inverse=True)
    counts = np.bincount(place.ravel())
    means = np.bincount(place.ravel(), log_errors) / counts
    least = int(np.argmin(means))
    rise = means[-1] - means[least]
    spread = noise * (1 / counts[-1] + 1 / counts[least]) ** 0.5
    return len(amounts) > least + 1 and bool(rise > math.log1p(RISE) and rise > RISE_SIGMAS * spread)


def _holm(p: list[float]) -> list[float]:
    """Return p values corrected for their number, step down."""
    adjusted, worst = [1.0] * len(p), 0.0
    for rank, place in enumerate(np.argsort(p)):
        worst = max(worst, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = worst
    return adjusted


def _warnings(table: RunTable, without: list[float]) -> list[str]:
    warnings = list(table.warnings)
    if without:
        names = ", ".join(f"{size:g}" for size in without[:NAMED])
        more = f" and {len(without) - NAMED} more" if len(without) > NAMED else ""
        warnings.append(f"Not tested, because of too few runs on both sides of a hinge: sizes {names}{more}.")
    return warnings
