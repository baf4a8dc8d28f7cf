"""Laws of error in the shares of a mixture.

exp     L_i = c_i + k_i exp(sum_j t_ij r_j)            data mixing law (Ye et al. 2024)
        fitted as c + exp(u . r): shares sum to 1, so k_i and the level of t_i are one number; t is told about
        its mean. Where mixtures differ in their hours, a further factor (H / H_0)^-gamma inside the exponential.
lgbm    ln L_i by LightGBM's regression trees (RegMix, Liu et al. 2024)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.optimize import least_squares

from counterpoint.scaling.laws.forms import Float

MixLaw = Literal["exp", "lgbm"]
FLOORS = (0.0, 0.3, 0.6, 0.85, 0.95)
"""Shares of the least error at which floors start."""
LEAST_DELTA = 1e-3
VARIED = 1.1
"""Ratio of most to least hours in all from which hours are a part of the law."""
_STEEP = 60.0
_TINY = -30.0


class Predictor(Protocol):
    """A fitted law of all task sets."""

    def log_error(self, shares: Float, log_hours: Float) -> Float:
        """Return ln L, [rows, tasks], at shares, [rows, sources], and ln (H / H_0), [rows]."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpLaw:
    """A data mixing law of every task set."""

    vectors: Float
    """[tasks, 1 + sources + (1 if hours vary)]: ln c, u, gamma."""
    with_hours: bool

    def log_error(self, shares: Float, log_hours: Float) -> Float:
        """Return ln L, [rows, tasks]."""
        design = _design(shares, log_hours, self.with_hours)
        return np.stack([_value(vector, design)[0] for vector in self.vectors], axis=1)

    def parameters(self) -> tuple[Float, Float, Float]:
        """Return c, k, [tasks], and t, [tasks, sources], which sum to 0 over sources."""
        exponents = self.vectors[:, 1:-1] if self.with_hours else self.vectors[:, 1:]
        level = exponents.mean(axis=1)
        return np.exp(self.vectors[:, 0]), np.exp(level), exponents - level[:, None]


def fit_exp(
    shares: Float, log_hours: Float, log_errors: Float, *, with_hours: bool, delta: float | None = None,
    start: ExpLaw | None = None,
) -> ExpLaw:  # fmt: skip
    """Fit each task set by Huber loss of ln L, from several floors or from one law.

    `delta` is where the loss turns straight; 1.35 standard deviations about a least-squares fit where left out.
    """
    design = _design(shares, log_hours, with_hours)
    found = []
    for task in range(log_errors.shape[1]):
        guesses = _starts(design, log_errors[:, task]) if start is None else [start.vectors[task]]
        width = delta
        if width is None:
            guesses = [_fit(design, log_errors[:, task], guesses, 1e3)]
            residual = _value(guesses[0], design)[0] - log_errors[:, task]
            spread = float((residual @ residual / max(len(residual) - design.shape[1] - 1, 1)) ** 0.5)
            width = max(1.35 * spread, LEAST_DELTA)
        found.append(_fit(design, log_errors[:, task], guesses, width))
    return ExpLaw(vectors=np.stack(found), with_hours=with_hours)


def num_parameters(sources: int, *, with_hours: bool) -> int:
    """Return how many numbers the data mixing law has for each task set."""
    return 1 + sources + with_hours


@dataclass(frozen=True, kw_only=True, eq=False)
class Trees:
    """Regression trees of every task set."""

    models: tuple[Booster, ...]
    with_hours: bool

    def log_error(self, shares: Float, log_hours: Float) -> Float:
        """Return ln L, [rows, tasks]."""
        design = _design(shares, log_hours, self.with_hours)
        return np.stack([np.asarray(model.predict(design), dtype=np.float64) for model in self.models], axis=1)


class Booster(Protocol):
    """The part of LightGBM's model that is used."""

    def predict(self, data: Float) -> object:
        """Return predictions, [rows]."""
        ...


def fit_lgbm(shares: Float, log_hours: Float, log_errors: Float, *, with_hours: bool) -> Trees:
    """Fit regression trees to each task set; small leaves, as trained mixtures are few."""
    import lightgbm  # an extra

    design = _design(shares, log_hours, with_hours)
    settings = {
        "objective": "regression", "learning_rate": 0.05, "num_leaves": 15, "verbosity": -1, "num_threads": 1,
        "min_data_in_leaf": max(2, len(design) // 25), "min_data_in_bin": 1, "deterministic": True, "seed": 0,
        "feature_pre_filter": False, "lambda_l2": 0.1,
    }  # fmt: skip
    models = [
        lightgbm.train(settings, lightgbm.Dataset(design, label=log_errors[:, task]), num_boost_round=200)
        for task in range(log_errors.shape[1])
    ]
    return Trees(models=tuple(models), with_hours=with_hours)


def _design(shares: Float, log_hours: Float, with_hours: bool) -> Float:
    return np.concatenate([shares, -log_hours[:, None]], axis=1) if with_hours else shares


def _value(vector: Float, design: Float) -> tuple[Float, Float]:
    """Return ln (c + exp(u . r)), [rows], and its gradient, [rows, parameters]."""
    rest = np.clip(design @ vector[1:], -_STEEP, _STEEP)
    total = np.logaddexp(vector[0], rest)
    share = np.exp(rest - total)
    return total, np.concatenate([(1 - share)[:, None], design * share[:, None]], axis=1)


def _starts(design: Float, log_errors: Float) -> list[Float]:
    """Return vectors for several floors: given c, ln (L - c) is linear in the shares."""
    least = float(log_errors.min())
    found = []
    for share in FLOORS:
        rest = np.log(np.exp(log_errors) - share * np.exp(least) * (1 - 1e-6))
        exponents = np.linalg.lstsq(design, rest, rcond=None)[0]
        found.append(np.concatenate([[least + np.log(share) if share else least - 15.0], exponents]))
    return found


def _fit(design: Float, log_errors: Float, guesses: list[Float], delta: float) -> Float:
    least = float(log_errors.min())
    low = np.full(design.shape[1] + 1, -_STEEP)
    high = np.full(design.shape[1] + 1, _STEEP)
    low[0], high[0] = least + _TINY, least
    answers = [
        least_squares(
            lambda vector: _value(vector, design)[0] - log_errors, np.clip(guess, low + 1e-9, high - 1e-9),
            jac=lambda vector: _value(vector, design)[1], loss="huber", f_scale=delta, bounds=(low, high), max_nfev=300,
        )
        for guess in guesses
    ]  # fmt: skip
    return np.asarray(min(answers, key=lambda answer: float(answer.cost)).x)
