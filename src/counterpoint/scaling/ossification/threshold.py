"""Is there a size below which models ossify? A step in the index against ln N, compared with a constant and a line.

A threshold is claimed only with six sizes or more, and only where the step wins by 6 or more in the corrected
Akaike criterion; what is reported is the bracket between two sizes that were tried, never a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.records import Json
from counterpoint.scaling.laws.forms import Float

LEAST_SIZES = 6
CLEARLY = 6.0


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Whether a threshold of size is claimed, and between which sizes."""

    claimed: bool
    bracket: tuple[float, float] | None
    reason: str

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        bracket: Json = None if self.bracket is None else [*self.bracket]
        return {"claimed": self.claimed, "bracket": bracket, "reason": self.reason}


def find_threshold(sizes: Float, index: Float, flagged: NDArray[np.bool_], se: Float) -> Threshold:
    """Look for a step from high indices to low ones.

    Args:
        sizes: [sizes], increasing.
        index: [sizes], the ossification index.
        flagged: [sizes], whether the size was found ossifying or regressing.
        se: [sizes], standard errors of the index.
    """
    if not len(sizes):
        return _none("no size could be tested, because there are too few runs on both sides of a hinge")
    if not flagged.any():
        return _none("no size was found ossifying")
    if len(sizes) < LEAST_SIZES:
        return _none(f"{len(sizes)} sizes; a threshold needs {LEAST_SIZES} or more")
    if flagged.all():
        return _none(f"all sizes ossify, so a threshold would be above {sizes[-1]:g}")
    log_size = np.log(sizes)
    weight = 1 / np.maximum(se, 0.05) ** 2
    constant = _criterion(index, np.ones((len(sizes), 1)), weight, 1)
    line = _criterion(index, np.stack([np.ones_like(log_size), log_size - log_size.mean()], axis=1), weight, 2)
    steps = []
    for place in range(1, len(sizes)):
        below = (np.arange(len(sizes)) < place).astype(np.float64)
        if np.average(index[:place], weights=weight[:place]) > np.average(index[place:], weights=weight[place:]):
            steps.append((_criterion(index, np.stack([below, 1 - below], axis=1), weight, 3), place))
    if not steps:
        return _none("the index does not fall with size")
    best, place = min(steps)
    margin = min(constant, line) - best
    if margin < CLEARLY:
        rival = "a constant" if constant < line else "a smooth trend"
        return _none(f"a step explains the index no better than {rival} (margin {margin:.1f}, wanted {CLEARLY:g})")
    if not flagged[:place].any() or flagged[place:].all():
        return _none("the step does not separate sizes that ossify from sizes that do not")
    return Threshold(
        claimed=True,
        bracket=(float(sizes[place - 1]), float(sizes[place])),
        reason=f"a step between these sizes beats a constant and a line by {margin:.1f} in AICc",
    )


def _criterion(index: Float, design: Float, weight: Float, parameters: int) -> float:
    """Return the corrected Akaike criterion of a weighted least-squares fit, whose errors are known."""
    root = np.sqrt(weight)
    fitted = np.linalg.lstsq(design * root[:, None], index * root, rcond=None)[0]
    squares = float((weight * (index - design @ fitted) ** 2).sum())
    return squares + 2 * parameters + 2 * parameters * (parameters + 1) / max(len(index) - parameters - 1, 0.5)


def _none(reason: str) -> Threshold:
    return Threshold(claimed=False, bracket=None, reason=reason)
