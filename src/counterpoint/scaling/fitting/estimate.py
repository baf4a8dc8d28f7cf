"""An estimate of a law: its parameters with three kinds of intervals, how well it predicts, and what not to claim.

    RunTable --solve--> optimum --bootstrap (by run)--> standard errors and percentiles
                           |------profile-------------> which parameters the points identify
                           `------hold-out------------> the largest runs, predicted from the others

The bootstrap draws runs, never checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.core.seeding import generator
from counterpoint.scaling.fitting.bootstrap import FEW_RUNS, bootstrap, ends, interval
from counterpoint.scaling.fitting.noise import noise_delta
from counterpoint.scaling.fitting.profile import ENTRIES, Profile, is_scale, profile
from counterpoint.scaling.fitting.solve import Solution, solve
from counterpoint.scaling.laws.forms import Axes, Float, Form, axes
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.runs.table import RunTable

_OFTEN = 0.025
"""Share of redrawn laws with a parameter at a limit of the search from which on it is not identified."""
_MANY = 20
"""With so many points, a new run scatters as the residuals do, tails included."""
_NEW_RUNS = 20
"""New runs that are drawn for each redrawn law."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a fitted law."""

    value: float
    se: float
    """Standard error: of the bootstrap."""
    ci95: tuple[float, float]
    profile95: tuple[float, float]
    identified: bool
    """Whether the points bound it on both sides."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "value": self.value,
            "se": self.se,
            "ci95": [*self.ci95],
            "profile95": [*self.profile95],
            "identified": self.identified,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """A fitted law."""

    law: Form
    table: RunTable
    solution: Solution
    reference: tuple[float, float]
    delta: float
    parameters: dict[str, Parameter]
    draws: Float
    """[draws, vector]: the law on redrawn runs; bands and forecasts come from these."""
    residual_scale: float
    """Robust standard deviation of ln L about the law: what a single new run adds to any forecast."""

    @property
    def vector(self) -> Float:
        """The optimum."""
        return self.solution.vector

    def log_error(self, data: Float, size: Float | None = None, unique: Float | None = None) -> Float:
        """Return ln L of the law, [points]."""
        return self.law.log_error(self.vector, axes(data, size, unique, self.reference))[0]

    def band(
        self,
        data: Float,
        size: Float | None = None,
        unique: Float | None = None,
        *,
        level: float = 0.95,
        run: bool = False,
    ) -> Float:
        """Return the interval of L over redrawn runs, [2, points]; with `run`, of a single new run.

        What a new run adds is drawn from the residuals, or, where these are few, from a t distribution of their scale.
        """
        x = axes(data, size, unique, self.reference)
        found = np.stack([self.law.log_error(vector, x)[0] for vector in self.draws])
        num_runs, num_parameters = len(np.unique(self.table.run)), len(self.vector)
        centre = self.law.log_error(self.vector, x)[0]
        if not run:
            return np.asarray(np.exp(ends(found, centre, level, num_runs, num_parameters)))
        freedom = max(num_runs - num_parameters, 1)
        wide = centre + (found - centre) * (num_runs / freedom) ** 0.5
        shape = (_NEW_RUNS, *found.shape)
        many = (wide + self._scatter(shape, freedom)).reshape(-1, found.shape[1])
        return np.asarray(np.exp(np.quantile(many, [(1 - level) / 2, (1 + level) / 2], axis=0)))

    def _scatter(self, shape: tuple[int, ...], freedom: int) -> Float:
        """Return ln L of new runs about the law."""
        rng = generator(0, "scaling.band")
        if len(self.table) < _MANY:
            return np.asarray(rng.standard_t(freedom, shape) * self.residual_scale)
        x = axes(self.table.data, self.table.size if self.law.uses_size else None, self.table.unique, self.reference)
        residual = self.table.log_loss - self.law.log_error(self.vector, x)[0]
        stretch = (len(residual) / max(len(residual) - len(self.vector), 1)) ** 0.5
        return np.asarray(rng.choice((residual - np.median(residual)) * stretch, shape))


def estimate(
    table: RunTable,
    name: str,
    *,
    delta: float | Literal["auto"] = "auto",
    draws: int = 400,
    seed: int = 0,
    with_profiles: bool = True,
    workers: int | None = 1,
    on_draw: Callable[[], object] | None = None,
) -> Estimate:
    """Fit a law.

    Args:
        table: the runs.
        name: of the law.
        delta: where the Huber loss of ln L turns straight; `auto` is 1.35 standard deviations between seeds, or,
            with one seed, about the law.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.
        with_profiles: whether to profile every parameter (some seconds).
        workers: processes for the bootstrap; None for one a core where the work is long enough.
        on_draw: called after each draw, for progress.

    Raises:
        ConfigError: fewer runs than parameters, or too few different amounts or sizes.
        UnknownNameError: no such law.
    """
    law = form(name)
    check_enough(table, law)
    x, log_errors = table.axes(), table.log_loss
    width = noise_delta(table, law, x) if delta == "auto" else delta
    if not 0 < width < 10:
        raise ConfigError(f"delta: expected 0 to 10 (of ln L) or auto, got {width}")
    best = solve(law, x, log_errors, width)
    residual = law.log_error(best.vector, x)[0] - log_errors
    drawn = bootstrap(
        law, best.vector, table.run, x, log_errors, width, draws=draws, seed=seed, workers=workers, on_draw=on_draw
    )
    freedom = max(len(log_errors) - len(law.vector), 1)
    stretch = (len(log_errors) / freedom) ** 0.5
    return Estimate(
        law=law,
        table=table,
        solution=best,
        reference=x.reference,
        delta=width,
        parameters=_parameters(law, best.vector, drawn, x, log_errors, width, table, with_profiles),
        draws=drawn if len(drawn) else best.vector[None],
        residual_scale=stretch * 1.4826 * float(np.median(np.abs(residual - np.median(residual)))),
    )


def check_enough(table: RunTable, law: Form) -> None:
    """Raise ConfigError where the runs cannot carry the law."""
    count, wanted = len(table), len(law.vector)
    if count < wanted + 1:
        raise ConfigError(
            f"{table.path}: law {law.name!r} has {wanted} parameters, got {count} rows; give at least {wanted + 1}, or "
            "a law with fewer parameters"
        )
    for what, column in (("amounts of data", table.data), ("sizes", table.size if law.uses_size else None)):
        if column is not None and (found := len(np.unique(column))) < 3:
            raise ConfigError(
                f"{table.path}: {found} different {what}, expected 3 or more for law {law.name!r}; add runs at others"
            )


def _parameters(
    law: Form,
    vector: Float,
    drawn: Float,
    x: Axes,
    log_errors: Float,
    delta: float,
    table: RunTable,
    with_profiles: bool,
) -> dict[str, Parameter]:
    point = law.report(vector, x.reference)
    redrawn = [law.report(each, x.reference) for each in drawn]
    num_runs = len(np.unique(table.run))
    found: dict[str, Parameter] = {}
    for name in law.parameters:
        values = np.asarray([each[name] for each in redrawn])
        finite = values[np.isfinite(values)]
        logs = np.log(finite[finite > 0])
        with np.errstate(over="ignore"):  # a scale of an exponent near 0 has no finite error
            se = float(finite.std(ddof=1)) if len(finite) > 1 and num_runs > 1 else float("nan")
        step = float(logs.std()) if is_scale(name) and len(logs) > 1 else se
        bounds = Profile(low=float("nan"), high=float("nan"), identified=True)
        if with_profiles and np.isfinite(point[name]):
            width = step if np.isfinite(step) and step > 0 else 0.05
            bounds = profile(law, vector, name, x, log_errors, delta, min(width, 1.0))
        low, high = _interval(name, values, point[name], num_runs, len(law.vector))
        if name == "E" and point[name] == 0 and np.isfinite(bounds.high):
            high = max(high, bounds.high)  # at the edge of what can be, redrawn runs say too little (Andrews 2000)
        found[name] = Parameter(
            value=point[name],
            se=se,
            ci95=(low, high),
            profile95=(bounds.low, bounds.high),
            identified=bounds.identified
            and bool(np.isfinite(point[name]))
            and not runs_off(law, name, drawn, log_errors),
        )
    return found


def runs_off(law: Form, name: str, drawn: Float, log_errors: Float) -> bool:
    """Whether redrawn runs take a parameter to a limit of the search, even where its profile is closed."""
    if name == "E" or name not in ENTRIES or not len(drawn):
        return False
    entry = law.vector.index(ENTRIES[name])
    low, high = law.bounds(log_errors)[entry]
    at = [float((np.abs(drawn[:, entry] - limit) < 1e-6).mean()) for limit in (low, high)]
    return max(at) > _OFTEN


def _interval(name: str, values: Float, value: float, num_runs: int, num_parameters: int) -> tuple[float, float]:
    """Return a parameter's 95% interval; of few runs, t in the logarithm of what is positive, and no floor below 0."""
    if num_runs > FEW_RUNS or not is_scale(name) or not np.isfinite(value):
        return interval(values, value, num_runs, num_parameters)
    if name == "E":
        low, high = interval(values, value, num_runs, num_parameters)
        return max(low, 0.0), high
    logs = np.log(values[np.isfinite(values) & (values > 0)])
    with np.errstate(over="ignore"):
        low, high = np.exp(interval(logs, float(np.log(value)), num_runs, num_parameters))
    return float(low), float(high)
