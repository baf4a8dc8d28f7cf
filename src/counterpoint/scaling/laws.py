"""Laws of error against the amount of data D; A is in the units of D, E and L in the units of the error.

    power         L(D) = (A / D)^alpha
    power_floor   L(D) = E + (A / D)^alpha

A power law multiplies the error by 2^-alpha at every doubling only where E = 0. Parameters are kept as the
straight line level - alpha (ln D - ln reference) of the reducible error: unlike A, a level exists for alpha = 0 too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import unknown_name

LawName = Literal["power", "power_floor"]
LAWS: tuple[LawName, ...] = get_args(LawName)

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law with its parameters."""

    name: LawName
    level: float
    """ln of the reducible error at `reference`."""
    alpha: float
    """Positive where data help; 0 where the error does not depend on data."""
    E: float = 0.0
    """Error that no amount of data removes."""
    reference: float = 1.0
    """Amount of data at which `level` holds."""

    def error(self, data: Float) -> Float:
        """Return the error at amounts of data, any shape."""
        log_ratio = np.log(np.asarray(data, dtype=np.float64)) - math.log(self.reference)
        return np.asarray(self.E + np.exp(self.level - self.alpha * log_ratio))

    @property
    def A(self) -> float:
        """Amount of data at which the reducible error is 1; NaN where alpha is too near to 0 for one."""
        log_scale = math.log(self.reference) + self.level / self.alpha if self.alpha else math.nan
        return math.exp(log_scale) if abs(log_scale) < 300 else math.nan

    @property
    def doubling(self) -> float:
        """Factor on the reducible error when the data double."""
        return float(2.0**-self.alpha)


def parameter_count(name: LawName) -> int:
    """Return how many parameters a law has; raises UnknownNameError."""
    if name not in LAWS:
        raise unknown_name("law", name, LAWS)
    return {"power": 2, "power_floor": 3}[name]


def from_vector(name: LawName, vector: Float, reference: float) -> Law:
    """Build a law from [level, alpha] and, with a floor, ln E."""
    floor = float(np.exp(vector[2])) if name == "power_floor" else 0.0
    return Law(name=name, level=float(vector[0]), alpha=float(vector[1]), E=floor, reference=reference)


def log_error(name: LawName, vector: Float, log_ratio: Float) -> tuple[Float, Float]:
    """Return ln L at ln (D / reference), [points], and its gradient by the vector, [points, parameters]."""
    log_power = vector[0] - vector[1] * log_ratio
    by_power = np.stack([np.ones_like(log_ratio), -log_ratio], axis=1)
    if name == "power":
        return log_power, by_power
    total = np.logaddexp(log_power, vector[2])
    share = np.exp(log_power - total)
    return total, np.concatenate([by_power * share[:, None], (1 - share)[:, None]], axis=1)
