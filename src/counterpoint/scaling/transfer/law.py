"""Effective data transferred: what pretraining is worth, counted in data of the task itself.

    from scratch      L = S(N, D)                          a law fitted to the runs without pretraining
    pretrained        L = S(N, D_F + D_T)                  D_F data of fine-tuning
    transferred       D_T = k D_F^alpha N^beta             (Hernandez et al. 2021)

The transfer law is fitted to ln L through S, not to inverted D_T: an error below what S can give, or worse than from
scratch, has no logarithm of D_T, and an inverted noise is not alike everywhere. Inverted amounts are shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.laws.forms import Float, axes

_REACH = 40.0
"""ln of the largest multiple of the reference amount that is searched."""
_HALVINGS = 60
_STEP = 1e-4
LIMITS = {"k": (-25.0, 25.0), "alpha": (-3.0, 3.0), "beta": (-3.0, 3.0)}
"""Of ln k (about the middle of the runs, relative to their data) and of the exponents."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """Runs of one pretraining set."""

    data: Float
    """[runs] data of fine-tuning."""
    size: Float | None
    """[runs] size of the model; None where the law from scratch does not use it."""
    log_loss: Float
    """[runs] ln of the error."""

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Pretrained:
        """Return the chosen runs."""
        return Pretrained(
            data=self.data[rows], size=None if self.size is None else self.size[rows], log_loss=self.log_loss[rows]
        )


@dataclass(frozen=True, kw_only=True)
class TransferFit:
    """A fitted transfer law: ln D_T = ln k + alpha ln D_F + beta ln N."""

    log_k: float
    alpha: float
    beta: float
    at_limit: bool
    """Whether the optimum lies at a limit of the search: nothing is transferred, or the law does not bound it."""


def from_scratch(found: Estimate, vector: Float, log_data: Float, size: Float | None) -> Float:
    """Return ln S at amounts of data, [runs]."""
    return found.law.log_error(vector, axes(np.exp(log_data), size, None, found.reference))[0]


def equivalent_data(found: Estimate, vector: Float, log_loss: Float, size: Float | None) -> Float:
    """Return ln of the data that give an error from scratch, [runs]; inf where no amount does, -inf where any would."""
    low = np.full(len(log_loss), found.reference[1] - _REACH)
    high = np.full(len(log_loss), found.reference[1] + _REACH)
    never = from_scratch(found, vector, high, size) > log_loss
    always = from_scratch(found, vector, low, size) < log_loss
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = from_scratch(found, vector, middle, size) <= log_loss
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never, np.inf, np.where(always, -np.inf, (low + high) / 2))


def fit_transfer(
    found: Estimate, vector: Float, runs: Pretrained, delta: float, start: TransferFit | None = None
) -> TransferFit:
    """Fit the transfer law to ln L by Huber loss, from many starts or from one.

    An exponent whose axis does not vary stays 0: the law then holds at that amount or size alone.
    """
    x, z = np.log(runs.data), np.zeros_like(runs.data) if runs.size is None else np.log(runs.size)
    about = (float(x.mean()), float(z.mean()))
    free = [True, bool(np.ptp(x) > 0), bool(np.ptp(z) > 0)]
    columns = np.stack([np.ones_like(x), x - about[0], z - about[1]], axis=1)[:, free]
    limits = np.asarray(list(LIMITS.values()))[free]

    def residual(guess: Float) -> Float:
        return from_scratch(found, vector, np.logaddexp(x, about[0] + columns @ guess), runs.size) - runs.log_loss

    def slope(guess: Float) -> Float:
        moved = about[0] + columns @ guess
        total = np.logaddexp(x, moved)
        ahead, behind = (from_scratch(found, vector, total + step, runs.size) for step in (_STEP, -_STEP))
        return np.asarray(((ahead - behind) / (2 * _STEP) * np.exp(moved - total))[:, None] * columns)

    if start is None:
        guesses = [np.asarray(each)[free] for each in product((-1.0, 1.0, 3.0), (0.0, 0.3, 0.7), (0.0, 0.4))]
    else:
        level = start.log_k + start.alpha * about[0] + start.beta * about[1] - about[0]
        guesses = [np.asarray([level, start.alpha, start.beta])[free]]
    answers = [
        least_squares(
            residual, np.clip(guess, limits[:, 0] + 1e-6, limits[:, 1] - 1e-6), jac=slope, loss="huber",
            f_scale=delta, bounds=(limits[:, 0], limits[:, 1]), x_scale="jac" if start is None else 1.0, max_nfev=200,
        )
        for guess in guesses
    ]  # fmt: skip
    best = min(answers, key=lambda answer: float(answer.cost))
    level, alpha, beta = _spread(np.asarray(best.x), free)
    return TransferFit(
        log_k=about[0] + level - alpha * about[0] - beta * about[1],
        alpha=alpha,
        beta=beta,
        at_limit=bool((np.minimum(best.x - limits[:, 0], limits[:, 1] - best.x) < 1e-3).any()),
    )


def transferred(fit: TransferFit, log_data: Float, size: Float | None) -> Float:
    """Return ln D_T of the law, [runs]."""
    return fit.log_k + fit.alpha * log_data + fit.beta * (0.0 if size is None else np.log(size))


def _spread(found: Float, free: list[bool]) -> tuple[float, float, float]:
    full = np.zeros(3)
    full[free] = found
    return float(full[0]), float(full[1]), float(full[2])
