"""Where the Huber loss of ln L turns straight: as far from the law as errors scatter about it.

seeds          1.35 pooled standard deviations between runs at one place
one seed       1.35 deviations about a least-squares fit, by their median
few runs       least squares, unless one run stands out: a median of so few says little
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from counterpoint.scaling.fitting.bootstrap import FEW_RUNS
from counterpoint.scaling.fitting.solve import solve
from counterpoint.scaling.laws.forms import Axes, Float, Form
from counterpoint.scaling.runs.table import RunTable

COMPARABLE_DELTA = 1e-3
"""Of Hoffmann et al.: nearly absolute deviations of ln L."""
_ENOUGH = 6
"""Runs beside the first of their place from which on the median of deviations is steady enough."""
_GONE_WRONG = 1.6
"""Pooled over median deviation from which on some runs are taken to have gone wrong; normal noise has about 1."""
_ALL_OF_FEW = 3.0
"""Standard deviations that hold every residual of FEW_RUNS points: the root of their number is less."""


def noise_delta(table: RunTable, law: Form, x: Axes) -> float:
    """Return 1.35 sigma of ln L: between runs at equal size and amount, else about a least-squares fit.

    Sigma is the pooled standard deviation within places; where there are enough runs and that is far above what the
    median deviation says, it is the latter, so that a run gone wrong does not widen it. With few runs, one a place, a
    median deviation says little: unless one of them stands out, delta holds all, and the fit is least squares.
    """
    places = np.stack([x.log_size, x.log_data, x.log_unique], axis=1)
    _, cell = np.unique(places.round(9), axis=0, return_inverse=True)
    counts = np.bincount(cell.ravel())
    extra = len(table) - len(counts)
    if extra >= 3:
        means = np.bincount(cell.ravel(), table.log_loss) / counts
        apart = np.abs(table.log_loss - means[cell.ravel()])[counts[cell.ravel()] > 1]
        spread = float(((apart**2).sum() / extra) ** 0.5)
        robust = 1.4826 * float(np.median(apart)) * (len(apart) / extra) ** 0.5
        if extra >= _ENOUGH and spread > _GONE_WRONG * robust > 0:
            spread = robust
        return max(1.35 * spread, COMPARABLE_DELTA)
    found = solve(law, x, table.log_loss, 1e3)
    value, jacobian = law.log_error(found.vector, x)
    residual = value - table.log_loss
    if len(table) > FEW_RUNS:
        return max(1.35 * 1.4826 * float(np.median(np.abs(residual))), COMPARABLE_DELTA)
    freedom = max(len(residual) - len(found.vector), 1)
    others = _without_the_one_off(residual, jacobian)
    spread = _ALL_OF_FEW * float((residual**2).sum() / freedom) ** 0.5 if others is None else 1.35 * others
    return max(spread, COMPARABLE_DELTA)


def _without_the_one_off(residual: Float, jacobian: Float) -> float | None:
    """Return the standard deviation about a law without the point that lies off it; None where none does.

    Which one: the largest residual, studentised without its own point. Whether: beyond t at 1%, over the number of
    points (Bonferroni). With no freedom left, nothing stands out.
    """
    count, freedom = len(residual), len(residual) - jacobian.shape[1] - 1
    if freedom < 1:
        return None
    leverage = np.minimum(np.einsum("ij,ji->i", jacobian, np.linalg.pinv(jacobian)), 1 - 1e-9)
    squares = residual**2 / (1 - leverage)
    others = np.maximum(((residual**2).sum() - squares) / freedom, 1e-300)
    off = int(np.argmax(squares / others))
    stands_out = float(squares[off] / others[off]) ** 0.5 > float(student.ppf(1 - 0.005 / count, freedom))
    return float(others[off]) ** 0.5 if stands_out else None
