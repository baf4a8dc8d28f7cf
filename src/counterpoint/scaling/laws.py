"""Laws of error against the amount of data D; A is in the units of D, E and L in the units of the error.

    power         L(D) = (A / D)^alpha
    power_floor   L(D) = E + (A / D)^alpha

A power law multiplies the error by 2^-alpha at every doubling only where E = 0.
"""

from __future__ import annotations

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
    A: float
    """Amount of data at which the reducible error is 1."""
    alpha: float
    E: float = 0.0
    """Error that no amount of data removes."""

    def error(self, data: Float) -> Float:
        """Return the error at amounts of data, any shape."""
        return np.asarray(self.E + (self.A / np.asarray(data, dtype=np.float64)) ** self.alpha)

    @property
    def doubling(self) -> float:
        """Factor on the reducible error when the data double."""
        return float(2.0**-self.alpha)


def parameter_count(name: LawName) -> int:
    """Return how many parameters a law has; raises UnknownNameError."""
    if name not in LAWS:
        raise unknown_name("law", name, LAWS)
    return {"power": 2, "power_floor": 3}[name]


def from_vector(name: LawName, vector: Float) -> Law:
    """Build a law from [ln A, ln alpha] and, with a floor, ln E."""
    log_scale, log_alpha = float(vector[0]), float(vector[1])
    floor = float(np.exp(vector[2])) if name == "power_floor" else 0.0
    return Law(name=name, A=float(np.exp(log_scale)), alpha=float(np.exp(log_alpha)), E=floor)


def log_error(name: LawName, vector: Float, log_data: Float) -> tuple[Float, Float]:
    """Return ln L at ln D, [points], and its gradient by the vector, [points, parameters]."""
    alpha = np.exp(vector[1])
    log_power = alpha * (vector[0] - log_data)
    by_power = np.stack([np.full_like(log_data, alpha), log_power], axis=1)
    if name == "power":
        return log_power, by_power
    total = np.logaddexp(log_power, vector[2])
    share = np.exp(log_power - total)
    return total, np.concatenate([by_power * share[:, None], (1 - share)[:, None]], axis=1)
