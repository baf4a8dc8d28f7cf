"""What a planned grid of runs can tell, from worlds simulated under an assumed law and noise.

In each world every run of the grid gets an error from the law and noise of its own; the law is fitted to the runs
that are not held out, and predicts the others. Noise is independent between runs: what seeds share (the same
episodes, the same evaluation) is not simulated, so real studies tell a little less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.core.seeding import generator
from counterpoint.scaling.fitting.bootstrap import floored
from counterpoint.scaling.fitting.solve import descend
from counterpoint.scaling.laws.forms import Axes, Float, Form, axes
from counterpoint.scaling.laws.known import form

TOLERANCE = 0.05
"""Mean absolute relative error of the held-out runs that counts as verified."""
HUBER_EFFICIENCY = 0.95
"""Of Huber's loss at 1.35 sigma, for normal noise."""


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """L = E + size_term (N / N_mid)^-alpha + data_term (D / D_mid)^-beta, about the geometric middle of the grid."""

    floor: float = 0.05
    """E: error that neither size nor data remove."""
    size_term: float = 0.1
    """What a model of middle size adds."""
    data_term: float = 0.25
    """What the middle amount of data adds."""
    alpha: float = 0.3
    """Exponent of size."""
    beta: float = 0.4
    """Exponent of data."""
    noise: float = 0.03
    """Standard deviation of ln L between runs that differ in their seed alone."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, value in asdict(self).items():
            if not 0 <= value < 10:
                raise ConfigError(f"--assume: expected {name} of 0 to 10, got {value}")
        if not (self.data_term > 0 and self.noise > 0):
            raise ConfigError("--assume: expected data_term and noise above 0")


@dataclass(frozen=True, kw_only=True)
class Power:
    """What the simulated worlds gave."""

    law: str
    """The law fitted: `additive` from three sizes up that are not held out, else `power_floor` of data, or `power`
    where there are only three runs."""
    worlds: int
    truth: dict[str, float]
    standard_errors: dict[str, float]
    """Half the width of the central 68% of estimates, of E and the exponents."""
    excludes_zero: dict[str, float]
    """Share of worlds in which the 95% interval of an exponent lies above 0."""
    verified: float | None
    """Share of worlds in which the held-out runs are missed by at most 5% on average; None without held-out runs."""
    missed: float | None
    """Median of that mean absolute relative error."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "law": self.law,
            "worlds": self.worlds,
            "truth": dict(self.truth),
            "standard_errors": dict(self.standard_errors),
            "exponent_excludes_zero": dict(self.excludes_zero),
            "extrapolation_verified": self.verified,
            "median_miss": self.missed,
        }


def power_analysis(
    size: Float,
    data: Float,
    held_out: NDArray[np.bool_],
    assumed: Assumption,
    *,
    worlds: int = 200,
    seed: int = 0,
    on_world: Callable[[], object] | None = None,
) -> Power:
    """Simulate a grid.

    Args:
        size: [runs] size of the model.
        data: [runs] amount of data.
        held_out: [runs] which are predicted.
        assumed: the law and the noise.
        worlds: how many to simulate.
        seed: of the noise.
        on_world: called after each, for progress.

    Raises:
        ConfigError: too few runs are left for any law.
    """
    law = _law(size[~held_out], data[~held_out])
    x = axes(data, size)
    truth = _truth(law, assumed, x)
    log_errors, _ = law.log_error(truth, x)
    exponents: list[str] = [name for name in ("alpha", "beta") if name in law.vector]
    found = [
        _world(law, truth, x, held_out, noisy, assumed.noise, exponents)
        for noisy in _worlds(log_errors, assumed.noise, worlds, seed, on_world)
    ]
    missed = [world.missed for world in found if world.missed is not None]
    return Power(
        law=law.name,
        worlds=worlds,
        truth=_named(law, truth, exponents),
        standard_errors={
            name: _spread([world.estimates[name] for world in found]) for name in _named(law, truth, exponents)
        },
        excludes_zero={name: float(np.mean([world.above_zero[name] for world in found])) for name in exponents},
        verified=float(np.mean([miss <= TOLERANCE for miss in missed])) if missed else None,
        missed=float(np.median(missed)) if missed else None,
    )


def _law(size: Float, data: Float) -> Form:
    """Return the richest law that these runs carry; raises ConfigError where that is none."""
    if len(np.unique(data)) < 3:
        raise ConfigError(
            f"{len(data)} runs at {len(np.unique(data))} amounts of data are outside the hold-out, too few for a "
            "law; plan at "
            "least 4 amounts, or hold out less"
        )
    names = ["additive"] if len(np.unique(size)) >= 3 else []
    laws = [form(name) for name in (*names, "power_floor", "power")]
    return next((law for law in laws if len(data) > len(law.vector)), laws[-1])


@dataclass(frozen=True, kw_only=True)
class _World:
    estimates: dict[str, float]
    above_zero: dict[str, bool]
    missed: float | None


def _worlds(
    log_errors: Float, noise: float, worlds: int, seed: int, on_world: Callable[[], object] | None
) -> Iterator[Float]:
    rng = generator(seed, "scaling.power")
    for _ in range(worlds):
        yield log_errors + rng.normal(0, noise, len(log_errors))
        if on_world is not None:
            on_world()


def _world(
    law: Form, truth: Float, x: Axes, held_out: NDArray[np.bool_], noisy: Float, noise: float, exponents: list[str]
) -> _World:
    """Fit one world without its held-out runs, and predict these."""
    kept = ~held_out
    near = _rows(x, kept)
    starts = floored(law, truth, noisy[kept])
    vector, _ = min(
        (descend(law, start, near, noisy[kept], 1.35 * noise, widths=()) for start in starts), key=lambda each: each[1]
    )
    wide = float(student.ppf(0.975, max(int(kept.sum()) - len(vector), 1)))
    low = vector - wide * standard_errors(law, vector, near, noisy[kept])
    missed = None
    if held_out.any():
        predicted = law.log_error(vector, _rows(x, held_out))[0]
        missed = float(np.abs(np.expm1(predicted - noisy[held_out])).mean())
    return _World(
        estimates=_named(law, vector, exponents),
        above_zero={name: bool(low[law.vector.index(name)] > 0) for name in exponents},
        missed=missed,
    )


def standard_errors(law: Form, vector: Float, x: Axes, log_errors: Float) -> Float:
    """Return the delta method's standard errors of a vector, [entries]; entries that do not matter get infinity."""
    value, jacobian = law.log_error(vector, x)
    freedom = max(len(log_errors) - len(vector), 1)
    scatter = float(((value - log_errors) ** 2).sum() / freedom) / HUBER_EFFICIENCY
    weight = np.sqrt((jacobian**2).sum(axis=0))
    matters = weight > 1e-6 * weight.max()
    scaled = jacobian[:, matters] / weight[matters]
    variance = np.diag(np.linalg.pinv(scaled.T @ scaled, rcond=1e-12)) * scatter
    errors = np.full(len(vector), np.inf)
    errors[matters] = np.sqrt(np.maximum(variance, 0.0)) / weight[matters]
    return errors


def _truth(law: Form, assumed: Assumption, x: Axes) -> Float:
    entries = {
        "floor": np.log(max(assumed.floor, 1e-9)),
        "size": np.log(max(assumed.size_term, 1e-9)),
        "data": np.log(assumed.data_term),
        "alpha": assumed.alpha,
        "beta": assumed.beta,
    }
    if not law.uses_size:  # one law a size: the floor holds what the size adds
        entries |= {"floor": np.log(max(assumed.floor + assumed.size_term, 1e-9)), "alpha": assumed.beta}
    vector = np.asarray([float(entries[name]) for name in law.vector])
    limits = np.asarray(law.bounds(law.log_error(vector, x)[0]))
    return np.asarray(np.clip(vector, limits[:, 0], limits[:, 1]))


def _named(law: Form, vector: Float, exponents: list[str]) -> dict[str, float]:
    floor = {"E": float(np.exp(vector[law.vector.index("floor")]))} if "floor" in law.vector else {}
    return floor | {name: float(vector[law.vector.index(name)]) for name in exponents}


def _rows(x: Axes, rows: NDArray[np.bool_]) -> Axes:
    return x.take(np.flatnonzero(rows))


def _spread(values: list[float]) -> float:
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2
