"""The forms that an error may take in size N and data D, in logarithms and with analytic gradients.

    power         L = (A / D)^alpha
    power_floor   L = E + (A / D)^alpha
    additive      L = E + A N^-alpha + B D^-beta                                (Hoffmann et al. 2022)
    kaplan        L = [(A / N)^(alpha/beta) + B / D]^beta                       (Kaplan et al. 2020)
    joint         L = E + [(A N^-alpha)^(1/gamma) + (B D^-beta)^(1/gamma)]^gamma
                  gamma = 1 is additive; gamma = beta with E = 0 is kaplan
    broken        L = E + A D^-alpha [1 + (D / D_1)^(1/gamma)]^(-beta gamma)    (Caballero et al. 2022, one break)

Fitting works on vectors about the middle of the data: ln of each term at the reference size and amount
instead of A and B, so that levels and exponents hardly depend on each other. `repetition` is in its own module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
LawName = Literal["power", "power_floor", "additive", "kaplan", "joint", "broken", "repetition"]
LAWS: tuple[LawName, ...] = get_args(LawName)
NO_FLOOR = 16.0
"""A floor this far below the law's terms at the reference, in ln, is reported as 0."""
LEAST_LOG_FLOOR = -30.0
"""ln of a floor that counts as none, relative to the least error."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Axes:
    """Where errors were measured, as logarithms relative to the reference."""

    log_size: Float
    """[points] ln (N / reference size); zeros for laws of data alone."""
    log_data: Float
    """[points] ln (D / reference amount)."""
    log_unique: Float
    """[points] ln (unique data / reference amount); equal to `log_data` where nothing is repeated."""
    reference: tuple[float, float]
    """ln of the reference size and amount: the means of the points'."""

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.log_data)

    def take(self, rows: NDArray[np.int64]) -> Axes:
        """Return the chosen points about the same reference."""
        return Axes(
            log_size=self.log_size[rows],
            log_data=self.log_data[rows],
            log_unique=self.log_unique[rows],
            reference=self.reference,
        )


def axes(
    data: Float, size: Float | None = None, unique: Float | None = None, reference: tuple[float, float] | None = None
) -> Axes:
    """Return sizes and amounts (positive, [points] each) about their geometric means, or about `reference`."""
    log_data = np.log(np.asarray(data, dtype=np.float64))
    log_size = np.zeros_like(log_data) if size is None else np.log(np.asarray(size, dtype=np.float64))
    log_unique = log_data if unique is None else np.log(np.asarray(unique, dtype=np.float64))
    about = reference or (float(log_size.mean()), float(log_data.mean()))
    return Axes(
        log_size=log_size - about[0], log_data=log_data - about[1], log_unique=log_unique - about[1], reference=about
    )


Value = tuple[Float, Float]
"""ln L, [points], and its gradient by the vector, [points, parameters]."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One law as a function of a vector."""

    name: LawName
    vector: tuple[str, ...]
    """What the vector holds: `floor` = ln E, `size` and `data` = ln of a term at the reference, exponents,
    `log_gamma`, `break` = ln (D_1 / reference)."""
    parameters: tuple[str, ...]
    """Names that are reported."""
    uses_size: bool
    log_error: Callable[[Float, Axes], Value]
    """ln L and its gradient at a vector."""

    def bounds(self, log_errors: Float) -> list[tuple[float, float]]:
        """Return the limits of each entry of the vector; the floor lies below the least error."""
        least = float(log_errors.min())
        limits = {
            "floor": (least + LEAST_LOG_FLOOR, least),
            "size": (least + LEAST_LOG_FLOOR, least + 30.0),
            "data": (least + LEAST_LOG_FLOOR, least + 30.0),
            "alpha": (1e-4, 5.0),
            "beta": (1e-4, 5.0),
            "log_gamma": (math.log(0.05), math.log(20.0)),
            "break": (-20.0, 20.0),
            "log_repeat": (math.log(0.05), math.log(1e4)),
            "log_repeat_size": (math.log(0.05), math.log(1e4)),
        }
        if self.name == "power":  # negative where data hurt, so that an interval about 0 is free
            limits["alpha"] = (-5.0, 5.0)
        if self.name == "broken":  # a break may be sudden, and steep for a while (Caballero et al. 2022, addition)
            limits["beta"] = (-50.0, 50.0)
            limits["log_gamma"] = (math.log(1e-3), math.log(20.0))
        return [limits[entry] for entry in self.vector]

    def report(self, vector: Float, reference: tuple[float, float]) -> dict[str, float]:
        """Return the law's own parameters."""
        v = dict(zip(self.vector, vector.tolist(), strict=True))
        ln_n, ln_d = reference
        found: dict[str, float] = {name: v[name] for name in ("alpha", "beta") if name in v}
        if "floor" in v:
            terms = max(v[entry] for entry in ("size", "data") if entry in v)
            found["E"] = math.exp(v["floor"]) if v["floor"] > terms - NO_FLOOR else 0.0
        match self.name:
            case "power" | "power_floor":
                found["A"] = _exp(ln_d + v["data"] / v["alpha"]) if v["alpha"] else math.nan
            case "additive" | "joint" | "repetition":
                found["A"] = _exp(v["size"] + v["alpha"] * ln_n) if self.uses_size else math.nan
                found["B"] = _exp(v["data"] + v["beta"] * ln_d)
            case "kaplan":
                found["A"] = _exp(ln_n + v["size"] / v["alpha"])
                found["B"] = _exp(ln_d + v["data"] / v["beta"])
            case "broken":
                found["A"] = _exp(v["data"] + v["alpha"] * ln_d)
                found["D_1"] = _exp(v["break"] + ln_d)
        if "log_gamma" in v:
            found["gamma"] = math.exp(v["log_gamma"])
        if "log_repeat" in v:
            found["R_D"] = math.exp(v["log_repeat"])
        if "log_repeat_size" in v:
            found["R_N"] = math.exp(v["log_repeat_size"])
        return {name: found[name] for name in self.parameters}


def log_sum(first: Float, second: Float) -> tuple[Float, Float]:
    """Return ln (e^first + e^second) and the share of the first term."""
    total = np.logaddexp(first, second)
    return total, np.exp(first - total)


def with_floor(floor: float, rest: Float, gradient: Float) -> Value:
    """Return ln (E + e^rest); the floor's entry comes first in the gradient."""
    total, share = log_sum(rest, np.full_like(rest, floor))
    return total, np.concatenate([(1 - share)[:, None], gradient * share[:, None]], axis=1)


def _power(v: Float, x: Axes) -> Value:
    return v[0] - v[1] * x.log_data, np.stack([np.ones_like(x.log_data), -x.log_data], axis=1)


def _power_floor(v: Float, x: Axes) -> Value:
    return with_floor(v[0], *_power(v[1:], x))


def _additive(v: Float, x: Axes) -> Value:
    total, share = log_sum(v[1] - v[3] * x.log_size, v[2] - v[4] * x.log_data)
    rest = 1 - share
    return with_floor(v[0], total, np.stack([share, rest, -x.log_size * share, -x.log_data * rest], axis=1))


def _blend(v: Float, x: Axes) -> Value:
    """Return ln [(size term)^(1/g) + (data term)^(1/g)]^g for v = [size, data, alpha, beta, ln g]."""
    gamma = math.exp(v[4])
    first, second = (v[0] - v[2] * x.log_size) / gamma, (v[1] - v[3] * x.log_data) / gamma
    total, share = log_sum(first, second)
    rest = 1 - share
    by_gamma = gamma * (total - share * first - rest * second)
    return gamma * total, np.stack([share, rest, -x.log_size * share, -x.log_data * rest, by_gamma], axis=1)


def _joint(v: Float, x: Axes) -> Value:
    return with_floor(v[0], *_blend(v[1:], x))


def _kaplan(v: Float, x: Axes) -> Value:
    """[size, data, alpha, beta]: the blend with gamma = beta."""
    value, gradient = _blend(np.append(v, math.log(v[3])), x)
    by_beta = gradient[:, 3] + gradient[:, 4] / v[3]
    return value, np.stack([gradient[:, 0], gradient[:, 1], gradient[:, 2], by_beta], axis=1)


def _broken(v: Float, x: Axes) -> Value:
    """[floor, data, alpha, beta, break, ln gamma]."""
    gamma = math.exp(v[5])
    beyond = (x.log_data - v[4]) / gamma
    bent = np.logaddexp(0.0, beyond)
    share = np.exp(beyond - bent)
    rest = v[1] - v[2] * x.log_data - v[3] * gamma * bent
    by_gamma = -v[3] * gamma * (bent - share * beyond)
    columns = [np.ones_like(rest), -x.log_data, -gamma * bent, v[3] * share, by_gamma]
    return with_floor(v[0], rest, np.stack(columns, axis=1))


def _exp(value: float) -> float:
    return math.exp(value) if abs(value) < 700 else math.nan


CLOSED_FORMS: dict[str, Form] = {
    each.name: each
    for each in (
        Form(name="power", vector=("data", "alpha"), parameters=("A", "alpha"), uses_size=False, log_error=_power),
        Form(
            name="power_floor",
            vector=("floor", "data", "alpha"),
            parameters=("E", "A", "alpha"),
            uses_size=False,
            log_error=_power_floor,
        ),
        Form(
            name="additive",
            vector=("floor", "size", "data", "alpha", "beta"),
            parameters=("E", "A", "B", "alpha", "beta"),
            uses_size=True,
            log_error=_additive,
        ),
        Form(
            name="kaplan",
            vector=("size", "data", "alpha", "beta"),
            parameters=("A", "B", "alpha", "beta"),
            uses_size=True,
            log_error=_kaplan,
        ),
        Form(
            name="joint",
            vector=("floor", "size", "data", "alpha", "beta", "log_gamma"),
            parameters=("E", "A", "B", "alpha", "beta", "gamma"),
            uses_size=True,
            log_error=_joint,
        ),
        Form(
            name="broken",
            vector=("floor", "data", "alpha", "beta", "break", "log_gamma"),
            parameters=("E", "A", "alpha", "beta", "D_1", "gamma"),
            uses_size=False,
            log_error=_broken,
        ),
    )
}
