"""Which mixture to train on next: a law of error in shares, its optimum under caps, the value of an hour.

    Mixtures --fit--> law --optimum--> best shares, predicted errors
        |              |---derivative--> value of an hour a source at the current mixture
        |              `---leave one out--> does it rank mixtures that it has not seen?
        `--redrawn mixtures--> intervals of all of these

The aggregate error is the geometric mean over task sets, so that no task set's unit outweighs the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.core.seeding import generator
from counterpoint.scaling.fitting.bootstrap import interval
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.mixtures.advice import Found, MixAdvice, Quantity
from counterpoint.scaling.mixtures.laws import (
    VARIED,
    ExpLaw,
    MixLaw,
    Predictor,
    fit_exp,
    fit_lgbm,
    num_parameters,
)
from counterpoint.scaling.mixtures.optimum import Limits, best_shares, hour_values, limits_of
from counterpoint.scaling.mixtures.table import Mixtures
from counterpoint.scaling.mixtures.trust import check_enough, distrust
from counterpoint.scaling.runs.rows import nearest


@dataclass(frozen=True, kw_only=True, eq=False)
class _FitSummary:
    """What one fit says."""

    weights: Float
    log_errors: Float
    change: float
    values: Float


def advise(
    mixtures: Mixtures,
    law: MixLaw = "exp",
    *,
    caps: Mapping[str, float] | None = None,
    least: Mapping[str, float] | None = None,
    most: Mapping[str, float] | None = None,
    hours: float | None = None,
    current: str | None = None,
    delta: float | None = None,
    draws: int = 200,
    on_draw: Callable[[], object] | None = None,
) -> MixAdvice:
    """Fit a law and say which mixture is best, and what an hour of each source is worth.

    Args:
        mixtures: the trained ones.
        law: `exp` or `lgbm`.
        caps: hours that are there, by source; shares where the table has shares, none is above 1 and `hours` is left
            out.
        least: least shares.
        most: greatest shares.
        hours: that the best mixture is for; those of the current one where left out.
        current: name of the mixture to compare with; the best trained one where left out.
        delta: where the Huber loss of ln L turns straight; from the scatter where left out.
        draws: of the bootstrap over mixtures.
        on_draw: called after each draw, for progress.

    Raises:
        ConfigError: too few mixtures, sources that cannot be told apart, limits that nothing fulfils, unknown names.
    """
    with_hours = mixtures.hours is not None and float(np.ptp(np.log(mixtures.hours))) > math.log(VARIED)
    check_enough(mixtures, law, with_hours=with_hours)
    at = _current(mixtures, current)
    own = mixtures.take(mixtures.names == at)
    reference = 1.0 if mixtures.hours is None else float(np.exp(np.log(mixtures.hours).mean()))
    now = None if own.hours is None else float(np.exp(np.log(own.hours).mean()))
    target = hours if hours is not None else now
    if target is not None and not 0 < target < math.inf:
        raise ConfigError(f"--hours: expected more than 0, got {target:g}")
    by_share = target is None and bool(caps) and max((caps or {}).values()) <= 1
    if by_share:  # the table has shares, and so have its caps
        given, caps = dict(caps or {}), {}
        most = {name: min(each.get(name, 1.0) for each in (given, most or {})) for name in {**given, **(most or {})}}
    place = _Place(
        law=law,
        allowed=limits_of(mixtures.sources, target, caps or {}, least or {}, most or {}),
        trained=mixtures.shares,
        current=own.shares[0],
        log_now=0.0 if now is None else math.log(now / reference),
        log_target=0.0 if target is None or mixtures.hours is None else math.log(target / reference),
        unit=next(each for each in (now, hours, 100.0) if each is not None),
    )
    advice = _advice(mixtures, own, place, with_hours, delta, reference, target, draws, on_draw)
    words = []
    if by_share:
        words.append("caps are read as shares, because the table has shares and --hours was not given")
    elif caps and target is not None and max(caps.values()) <= 1 < target:
        words.append(f"caps are read as hours, and none is above 1 of {target:.4g}; to limit shares, use --most")
    return replace(advice, warnings=(*words, *mixtures.warnings, *advice.warnings))


def _advice(
    mixtures: Mixtures, own: Mixtures, place: _Place, with_hours: bool, delta: float | None, reference: float,
    target: float | None, draws: int, on_draw: Callable[[], object] | None,
) -> MixAdvice:  # fmt: skip
    """Fit, draw again, leave out, and put it together."""
    law = place.law
    fitted = _fit(mixtures, law, with_hours, delta, reference)
    again = _redrawn(mixtures, fitted, place, with_hours, delta, reference, draws, on_draw)
    wanted = num_parameters(len(mixtures.sources), with_hours=with_hours) if law == "exp" else 1
    found = _intervals(mixtures, place.tell(fitted), again, wanted)
    overall, by_task = _left_out(mixtures, law, with_hours, delta, reference, fitted)
    spans = {name: each.ci95 for name, each in found.weights.items()}
    best = np.asarray([each.value for each in found.weights.values()])
    return MixAdvice(
        law=law,
        fitted_by="Huber loss of ln L, several starts" if law == "exp" else _trees_name(),
        mixtures=len(np.unique(mixtures.names)),
        rows=len(mixtures),
        current=str(own.names[0]),
        hours=target,
        found=found,
        current_weights=dict(zip(mixtures.sources, own.shares[0].tolist(), strict=True)),
        current_errors=dict(zip(mixtures.tasks, np.exp(own.log_errors.mean(axis=0)).tolist(), strict=True)),
        per="percent of the budget" if target is None else "hour",
        rank_correlation=overall,
        rank_correlations=by_task,
        parameters=_parameters(fitted, mixtures),
        warnings=(
            *([_other_hours(own, target)] if with_hours and place.log_now != place.log_target else []),
            *distrust(mixtures, law, best, spans, overall, found.change.ci95, with_hours=with_hours, target=target),
        ),
    )


def _other_hours(own: Mixtures, target: float | None) -> str:
    assert own.hours is not None  # hours vary, so they are there
    return (
        f"{str(own.names[0])!r} had {own.hours.mean():.4g} hours and the best mixture is for {target:.4g}: the change "
        "in error reflects both the mixture and the hours"
    )


def _intervals(mixtures: Mixtures, fitted: _FitSummary, again: list[_FitSummary], wanted: int) -> Found:
    """Return what a fit says with what fits to redrawn mixtures say about it."""
    count = len(np.unique(mixtures.names))

    def plain(value: float, values: list[float]) -> Quantity:
        return Quantity(value=value, ci95=interval(values, value, count, wanted))

    def share(value: float, values: list[float]) -> Quantity:
        low, high = interval(values, value, count, wanted)
        return Quantity(value=value, ci95=(max(low, 0.0), min(high, 1.0)))

    def power(value: float, values: list[float]) -> Quantity:
        low, high = interval(values, value, count, wanted)
        return Quantity(value=math.exp(value), ci95=(math.exp(low), math.exp(high)))

    sources, tasks = list(enumerate(mixtures.sources)), list(enumerate(mixtures.tasks))
    return Found(
        weights={
            name: share(float(fitted.weights[j]), [float(each.weights[j]) for each in again]) for j, name in sources
        },
        errors={
            name: power(float(fitted.log_errors[j]), [float(each.log_errors[j]) for each in again]) for j, name in tasks
        },
        change=power(fitted.change, [each.change for each in again]),
        hour_values={
            name: plain(float(fitted.values[j]), [float(each.values[j]) for each in again]) for j, name in sources
        },
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """Where a fit is asked."""

    law: MixLaw
    allowed: Limits
    trained: Float
    current: Float
    log_now: float
    log_target: float
    unit: float

    def tell(self, fitted: Predictor) -> _FitSummary:
        def aggregate(shares: Float, log_hours: Float) -> Float:
            return np.asarray(fitted.log_error(shares, log_hours).mean(axis=1))

        weights = best_shares(aggregate, self.law, self.allowed, self.log_target, self.trained)
        log_errors = fitted.log_error(weights[None], np.asarray([self.log_target]))[0]
        before = aggregate(self.current[None], np.asarray([self.log_now]))[0]
        return _FitSummary(
            weights=weights,
            log_errors=log_errors,
            change=float(log_errors.mean() - before),
            values=hour_values(aggregate, self.law, self.current, self.unit, self.log_now),
        )


def _fit(
    mixtures: Mixtures,
    law: MixLaw,
    with_hours: bool,
    delta: float | None,
    reference: float,
    start: Predictor | None = None,
) -> Predictor:
    log_hours = np.zeros(len(mixtures)) if mixtures.hours is None else np.log(mixtures.hours / reference)
    if law == "lgbm":
        return fit_lgbm(mixtures.shares, log_hours, mixtures.log_errors, with_hours=with_hours)
    return fit_exp(
        mixtures.shares, log_hours, mixtures.log_errors, with_hours=with_hours, delta=delta,
        start=start if isinstance(start, ExpLaw) else None,
    )  # fmt: skip


def _redrawn(
    mixtures: Mixtures, fitted: Predictor, place: _Place, with_hours: bool, delta: float | None, reference: float,
    draws: int, on_draw: Callable[[], object] | None,
) -> list[_FitSummary]:  # fmt: skip
    """Return what fits to redrawn mixtures say; draws that cannot carry the law are drawn again."""
    rng = generator(0, "scaling.mixing")
    names, owner = np.unique(mixtures.names, return_inverse=True)
    found: list[_FitSummary] = []
    for _ in range(20 * draws):
        if len(found) == draws:
            break
        drawn = rng.integers(len(names), size=len(names))
        rows: NDArray[np.int64] = np.concatenate([np.flatnonzero(owner.ravel() == each) for each in drawn])
        again = mixtures.take(rows)
        if np.linalg.matrix_rank(again.shares - again.shares.mean(axis=0), tol=1e-3) < len(mixtures.sources) - 1:
            continue
        found.append(place.tell(_fit(again, place.law, with_hours, delta, reference, fitted)))
        if on_draw is not None:
            on_draw()
    return found


def _left_out(
    mixtures: Mixtures, law: MixLaw, with_hours: bool, delta: float | None, reference: float, fitted: Predictor
) -> tuple[float, dict[str, float]]:
    """Return rank correlations of predicted and measured errors, each mixture predicted from the others."""
    predicted, measured = [], []
    for name in np.unique(mixtures.names):
        own = mixtures.names == name
        left = mixtures.take(own)
        log_hours = np.zeros(len(left)) if left.hours is None else np.log(left.hours / reference)
        again = _fit(mixtures.take(~own), law, with_hours, delta, reference, fitted)
        predicted.append(again.log_error(left.shares, log_hours).mean(axis=0))
        measured.append(left.log_errors.mean(axis=0))
    ahead, behind = np.stack(predicted), np.stack(measured)
    by_task = {task: _rank(ahead[:, j], behind[:, j]) for j, task in enumerate(mixtures.tasks)}
    return _rank(ahead.mean(axis=1), behind.mean(axis=1)), by_task


def _rank(first: Float, second: Float) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(spearmanr(first, second).statistic)


def _current(mixtures: Mixtures, name: str | None) -> str:
    known = np.unique(mixtures.names)
    if name is not None:
        if name not in known:
            raise ConfigError(f"--current: no mixture {name!r}; {nearest(name, known.tolist())}")
        return name
    means = [float(mixtures.log_errors[mixtures.names == each].mean()) for each in known]
    return str(known[int(np.argmin(means))])


def _parameters(fitted: Predictor, mixtures: Mixtures) -> dict[str, Json]:
    if not isinstance(fitted, ExpLaw):
        return {}
    floors, levels, exponents = fitted.parameters()
    found: dict[str, Json] = {}
    for j, task in enumerate(mixtures.tasks):
        by_source: dict[str, Json] = dict(zip(mixtures.sources, exponents[j].tolist(), strict=True))
        found[task] = {"c": float(floors[j]), "k": float(levels[j]), "t": by_source}
        if fitted.with_hours:
            found[task] = {
                "c": float(floors[j]),
                "k": float(levels[j]),
                "t": by_source,
                "gamma": float(fitted.vectors[j, -1]),
            }
    return found


def _trees_name() -> str:
    import lightgbm  # an extra

    return f"LightGBM {lightgbm.__version__}"
