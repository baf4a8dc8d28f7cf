"""Fitting a law to runs: Huber on logs, several starts, cluster bootstrap over runs, and refusals.

Methods follow Hoffmann et al. 2022 (approach 3: Huber loss on ln L, quasi-Newton from a grid of
starts) and Besiroglu et al. 2024 (sum the loss, never average: the average stops the optimiser early).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from counterpoint.core.errors import CounterpointError
from counterpoint.core.records import Json
from counterpoint.core.seeding import generator
from counterpoint.evaluate.statistics import Interval
from counterpoint.scaling.laws import Law, LawName, from_vector, log_error, parameter_count

Float = NDArray[np.float64]

MIN_AMOUNTS = 4
"""Least number of different data amounts for a fit."""
LEAST_EXPONENT = 0.02
"""An interval of the exponent that reaches below this, 1.4% less error a doubling, shows no law."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run: trained on `data`, judged by `error`."""

    data: float
    """Amount of data, in hours or episodes; positive."""
    error: float
    """Held-out error; positive."""
    run: str
    """Name of the run; the bootstrap draws runs."""


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """The largest amount of data, predicted from the smaller ones."""

    data: float
    predicted: float
    observed: float

    @property
    def signed_error(self) -> float:
        """Predicted over observed, minus 1: positive where the law was too pessimistic."""
        return self.predicted / self.observed - 1


@dataclass(frozen=True, kw_only=True)
class Band:
    """The fitted curve with its 95% band over bootstrapped runs, from the least data to twice the most."""

    data: tuple[float, ...]
    error: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted law with what is known of its parameters, and what must not be claimed."""

    law: Law
    delta: float
    objective: float
    """Summed Huber loss of ln L."""
    num_points: int
    starts_at_optimum: int
    num_starts: int
    intervals: dict[str, Interval]
    """95% percentile intervals of level, alpha (and E) over bootstrapped runs; of A where every draw has one."""
    band: Band
    extrapolation: Extrapolation | None
    refusals: tuple[str, ...]
    """What these points cannot support, in words."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON; `params` lacks A where alpha may be 0, which leaves A undefined."""
        check = self.extrapolation
        return {
            "law": self.law.name,
            "params": {
                name: {"value": getattr(self.law, name), "ci95": [*interval.as_list()]}
                for name, interval in self.intervals.items()
            },
            "reference": self.law.reference,
            "n_points": self.num_points,
            "objective_sum": self.objective,
            "delta": self.delta,
            "starts_at_optimum": self.starts_at_optimum,
            "num_starts": self.num_starts,
            "holdout": None
            if check is None
            else {
                "data": check.data,
                "predicted": check.predicted,
                "observed": check.observed,
                "signed_error": check.signed_error,
            },
            "band": {key: [*values] for key, values in asdict(self.band).items()},
            "warnings": [*self.refusals],
        }


def fit(
    points: Sequence[Point],
    name: LawName = "power",
    *,
    delta: float | Literal["auto"] = "auto",
    draws: int = 300,
    seed: int = 0,
) -> Fit:
    """Fit a law to `points` and say what they support.

    Args:
        points: runs at `MIN_AMOUNTS` or more different amounts of data.
        name: which law.
        delta: where the Huber loss of ln L turns from square to straight: 1e-3 as in Hoffmann et al., or
            `auto`, 1.35 times the scatter about a least-squares fit (95% efficient for normal scatter).
        draws: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        CounterpointError: too few amounts, or a value that is not positive and finite (names the run).
    """
    _check(points, name)
    if delta == "auto":
        delta = _scatter_delta(points, name)
    law, objective, at_optimum, num_starts = _best(points, name, delta)
    redrawn = _bootstrap(points, name, delta, law, draws, seed)
    intervals = _intervals(redrawn, name)
    largest = max(point.data for point in points)
    smaller = [point for point in points if point.data < largest]
    extrapolation = None
    if len({point.data for point in smaller}) > parameter_count(name):
        before = _best(smaller, name, delta)[0]
        observed = np.exp(np.mean([np.log(point.error) for point in points if point.data == largest]))
        predicted = float(before.error(np.asarray(largest)))
        extrapolation = Extrapolation(data=largest, predicted=predicted, observed=float(observed))
    return Fit(
        law=law,
        delta=delta,
        objective=objective,
        num_points=len(points),
        starts_at_optimum=at_optimum,
        num_starts=num_starts,
        intervals=intervals,
        band=_band(points, law, redrawn),
        extrapolation=extrapolation,
        refusals=_refusals(points, law, intervals, _fall(points, redrawn), extrapolation),
    )


def _check(points: Sequence[Point], name: LawName) -> None:
    parameter_count(name)
    for point in points:
        if not (0 < point.data < np.inf and 0 < point.error < np.inf):
            raise CounterpointError(
                f"run {point.run!r}: expected positive finite data and error, got data {point.data} and error "
                f"{point.error}; drop the run or look into its record"
            )
    amounts = len({point.data for point in points})
    if amounts < MIN_AMOUNTS:
        raise CounterpointError(
            f"law {name!r}: expected runs at {MIN_AMOUNTS} or more amounts of data, got {amounts}; "
            "train at more amounts"
        )


def _scatter_delta(points: Sequence[Point], name: LawName) -> float:
    """Return 1.35 robust standard deviations of ln L about a least-squares fit, at least 1e-3."""
    law = _best(points, name, 1e3)[0]
    residual = np.log([point.error for point in points]) - np.log(law.error(np.asarray([p.data for p in points])))
    return max(1.35 * 1.4826 * float(np.median(np.abs(residual))), 1e-3)


def _best(points: Sequence[Point], name: LawName, delta: float) -> tuple[Law, float, int, int]:
    """Return the best law over all starts, its loss, how many starts reach it, and how many there were."""
    log_data = np.log([point.data for point in points])
    log_loss = np.log([point.error for point in points])
    log_reference = float(log_data.mean())
    log_ratio = log_data - log_reference
    answers = [_descend(start, name, delta, log_ratio, log_loss) for start in _starts(name, log_ratio, log_loss)]
    best = min(answers, key=lambda answer: answer[1])
    reached = sum(value <= best[1] * (1 + 1e-4) + 1e-12 for _, value in answers)
    return from_vector(name, best[0], float(np.exp(log_reference))), best[1], reached, len(answers)


def _starts(name: LawName, log_ratio: Float, log_loss: Float) -> list[Float]:
    starts = []
    for share in (0.0,) if name == "power" else (0.05, 0.3, 0.6, 0.9):
        floor = share * np.exp(log_loss.min())
        log_reducible = np.log(np.exp(log_loss) - floor)
        slope, level = np.polyfit(log_ratio, log_reducible, 1)
        for alpha in (-slope if name == "power" else max(-slope, 0.0), 0.15, 0.5, 1.0):
            start = [level, alpha]
            starts.append(np.asarray(start if name == "power" else [*start, np.log(floor)]))
    return starts


def _descend(start: Float, name: LawName, delta: float, log_ratio: Float, log_loss: Float) -> tuple[Float, float]:
    """Minimise in two passes: a wide Huber first, then `delta` (whose flat sides stall far-off starts).

    Without a floor alpha may be negative, so that its interval is free to lie about 0 where data do not help.
    """

    def objective(vector: Float, width: float) -> tuple[float, Float]:
        guess, gradient = log_error(name, vector, log_ratio)
        residual = guess - log_loss
        clipped = np.clip(residual, -width, width)
        value = np.where(np.abs(residual) <= width, residual**2 / 2, width * (np.abs(residual) - width / 2)).sum()
        return float(value) / width, np.asarray(clipped @ gradient / width)

    least_alpha = -5.0 if name == "power" else 0.0
    bounds = [(-60.0, 60.0), (least_alpha, 5.0), (-30.0, float(log_loss.min()))][: len(start)]
    vector = start
    for width in (1.0, delta, delta):
        answer = minimize(
            objective, vector, args=(width,), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-10},
        )  # fmt: skip
        vector = answer.x
    return np.asarray(vector), objective(vector, delta)[0] * delta


def _bootstrap(points: Sequence[Point], name: LawName, delta: float, law: Law, draws: int, seed: int) -> list[Law]:
    """Draw runs with replacement and fit again; draws with too few amounts for the law are drawn again."""
    rng = generator(seed, "scaling.bootstrap")
    runs = sorted({point.run for point in points})
    by_run = {run: [point for point in points if point.run == run] for run in runs}
    laws: list[Law] = []
    while len(laws) < draws:
        chosen = [point for index in rng.integers(len(runs), size=len(runs)) for point in by_run[runs[index]]]
        if len({point.data for point in chosen}) >= parameter_count(name):
            laws.append(_refit(chosen, name, delta, law))
    return laws


def _intervals(redrawn: Sequence[Law], name: LawName) -> dict[str, Interval]:
    intervals = {}
    for key in ("level", "alpha", "A", "E")[: parameter_count(name) + 1]:
        values = [getattr(law, key) for law in redrawn]
        if np.isfinite(values).all():
            intervals[key] = _interval(values)
    return intervals


def _fall(points: Sequence[Point], redrawn: Sequence[Law]) -> Interval:
    """Return the interval of the mean exponent of the whole error, floor included, over the amounts of `points`."""
    ends = np.asarray([min(point.data for point in points), max(point.data for point in points)])
    errors = [np.log(law.error(ends)) for law in redrawn]
    return _interval([float(first - last) / float(np.log(ends[1] / ends[0])) for first, last in errors])


def _interval(values: Sequence[float]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def _band(points: Sequence[Point], law: Law, redrawn: Sequence[Law]) -> Band:
    amounts = [point.data for point in points]
    grid = np.geomspace(min(amounts), 2 * max(amounts), 25)
    low, high = np.quantile([other.error(grid) for other in redrawn], [0.025, 0.975], axis=0)
    return Band(
        data=tuple(grid.tolist()),
        error=tuple(law.error(grid).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )


def _refit(points: Sequence[Point], name: LawName, delta: float, law: Law) -> Law:
    """Fit again from the law found on all points: one start is enough close by."""
    start = [law.level, law.alpha]
    start += [np.log(max(law.E, 1e-12))] if name == "power_floor" else []
    log_ratio = np.log([point.data / law.reference for point in points])
    log_loss = np.log([point.error for point in points])
    return from_vector(name, _descend(np.asarray(start), name, delta, log_ratio, log_loss)[0], law.reference)


def _refusals(
    points: Sequence[Point],
    law: Law,
    intervals: dict[str, Interval],
    fall: Interval,
    extrapolation: Extrapolation | None,
) -> tuple[str, ...]:
    """Return what these points do not support, in words (see the module's sources)."""
    words = []
    amounts = sorted({point.data for point in points})
    if law.name == "power":
        words.append(
            "Fitted without a floor: the exponent holds within the fitted range and E = 0 is assumed, not found."
        )
    elif intervals["E"].low < 0.02 * min(point.error for point in points):
        words.append("No claim about a floor: the interval of E reaches down to 0.")
    words += _no_law(intervals["alpha"], fall)
    if extrapolation is None:
        words.append("Not checked by extrapolation: too few smaller amounts of data to predict the largest.")
    elif abs(extrapolation.signed_error) > 0.1:
        words.append(
            f"The largest amount was missed by {100 * extrapolation.signed_error:+.0f}%: do not forecast with this law."
        )
    if amounts[-1] < 10 * amounts[0]:
        words.append(f"Only {amounts[-1] / amounts[0]:.1f}x between the least and the most data: exponents are loose.")
    if max(sum(point.data == amount for point in points) for amount in amounts) < 2:
        words.append("One seed an amount: intervals show scatter about the law, not between seeds.")
    return tuple(words)


def _no_law(alpha: Interval, fall: Interval) -> list[str]:
    """Say so where the error does not clearly fall with data; the floor may hide that from alpha alone."""
    span = f"[{alpha.low:.3f}, {alpha.high:.3f}]"
    if alpha.high < -LEAST_EXPONENT:
        return [f"No law: the exponent's interval {span} lies below 0, error grows with data."]
    if min(alpha.low, fall.low) < LEAST_EXPONENT:
        holds = (
            "holds 0" if alpha.low <= 1e-6 else f"or the fall of the whole error, from {fall.low:.3f}, is close to 0"
        )
        return [f"No law: the exponent's interval {span} {holds}, so these runs do not show that data help."]
    return []
