"""The best shares under caps, what an hour of each source is worth, and whether mixtures span the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, minimize

from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import generator
from counterpoint.scaling.fitting.solve import one_thread
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.runs.rows import nearest

CANDIDATES = 4000
"""Mixtures among which trees look for the best; their top share is averaged, as trees are jagged."""
_TOP = 40
_STEP = {"exp": 1e-4, "lgbm": 0.05}
"""Hours that are added to a source, as a share of all, to see what they change; trees need a wide step."""
Aggregate = Callable[[Float, Float], Float]
"""Mean ln L over task sets, [rows], at shares, [rows, sources], and ln (H / H_0), [rows]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """What shares are allowed, [sources] each."""

    least: Float
    most: Float

    def middle(self) -> Float:
        """Return shares that are allowed, away from the limits."""
        room = self.most - self.least
        return np.asarray(self.least + (1 - self.least.sum()) * room / max(room.sum(), 1e-12))


def limits_of(
    sources: Sequence[str], hours: float | None, caps: Mapping[str, float], least: Mapping[str, float],
    most: Mapping[str, float],
) -> Limits:  # fmt: skip
    """Return limits of shares from hours that are there and from least and greatest shares.

    Raises:
        ConfigError: an unknown source (offers the nearest), caps without hours in all, limits that nothing fulfils.
    """
    for flag, given in (("--caps", caps), ("--least", least), ("--most", most)):
        for name, value in given.items():
            if name not in sources:
                raise ConfigError(f"{flag}: no source {name!r}; {nearest(name, sources)}")
            if not 0 <= value < np.inf or (flag != "--caps" and value > 1):
                raise ConfigError(
                    f"{flag} {name}: expected {'hours' if flag == '--caps' else 'a share of 0 to 1'}, got {value:g}"
                )
    if caps and hours is None:
        raise ConfigError("--caps are in hours, but the table only has shares; give the hours of training with --hours")
    low = np.asarray([least.get(name, 0.0) for name in sources])
    high = np.asarray(
        [min(most.get(name, 1.0), caps[name] / hours if hours and name in caps else 1.0) for name in sources]
    )
    if (low > high + 1e-12).any():
        name = sources[int(np.argmax(low - high))]
        raise ConfigError(
            f"{name}: its minimum share {low.max():g} exceeds what --caps allows ({high[np.argmax(low - high)]:g})"
        )
    if low.sum() > 1 + 1e-9:
        raise ConfigError(f"--least: shares sum to {low.sum():g}, expected at most 1")
    if high.sum() < 1 - 1e-9:
        there = "" if hours is None else f": {high.sum() * hours:g} of {hours:g} hours; lower --hours or raise --caps"
        raise ConfigError(f"caps leave {high.sum():.3g} of a mixture{there}")
    return Limits(least=low, most=high)


def best_shares(aggregate: Aggregate, law: str, allowed: Limits, log_hours: float, trained: Float) -> Float:
    """Return the shares with the least aggregate error among those allowed, [sources].

    The data mixing law's mean logarithm is convex in the shares: one descent finds its only optimum.
    """
    if law == "lgbm":
        candidates = _candidates(allowed, trained)
        found = aggregate(candidates, np.full(len(candidates), log_hours))
        return np.asarray(candidates[np.argsort(found, kind="stable")[:_TOP]].mean(axis=0))

    def value(shares: Float) -> float:
        return float(aggregate(shares[None], np.asarray([log_hours]))[0])

    def gradient(shares: Float) -> Float:
        step = 1e-6
        moved = np.concatenate([shares + step * np.eye(len(shares)), shares - step * np.eye(len(shares))])
        found = aggregate(moved, np.full(len(moved), log_hours))
        return np.asarray((found[: len(shares)] - found[len(shares) :]) / (2 * step))

    with one_thread():
        answer = minimize(
            value, allowed.middle(), jac=gradient, method="SLSQP",
            bounds=list(zip(allowed.least.tolist(), allowed.most.tolist(), strict=True)),
            constraints=[{"type": "eq", "fun": lambda r: r.sum() - 1, "jac": lambda r: np.ones_like(r)}],
            options={"ftol": 1e-12, "maxiter": 300},
        )  # fmt: skip
    shares = np.clip(answer.x, allowed.least, allowed.most)
    shares[shares < 1e-9] = 0.0
    return np.asarray(shares / shares.sum())


def hour_values(aggregate: Aggregate, law: str, shares: Float, hours: float, log_hours: float) -> Float:
    """Return the change of the mean ln L for one more hour of each source, [sources].

    More of one source is less of the share of all others; hours in all count where the law knows of them.
    """
    step = _STEP[law]
    moved = shares + step * np.eye(len(shares))
    moved /= moved.sum(axis=1, keepdims=True)
    both = np.concatenate([moved, shares[None]])
    found = aggregate(both, np.concatenate([np.full(len(moved), log_hours + np.log1p(step)), [log_hours]]))
    return np.asarray((found[:-1] - found[-1]) / (step * hours))


def inside_hull(point: Float, trained: Float) -> bool:
    """Whether a mixture is a blend of trained ones, within a hundredth of a share."""
    count, sources = trained.shape
    slack = np.eye(sources)
    equal = np.block([[trained.T, slack, -slack], [np.ones((1, count)), np.zeros((1, 2 * sources))]])
    cost = np.concatenate([np.zeros(count), np.ones(2 * sources)])
    answer = linprog(cost, A_eq=equal, b_eq=np.append(point, 1.0), bounds=(0, None), method="highs")
    return bool(answer.status == 0 and answer.fun < 0.01)


def _candidates(allowed: Limits, trained: Float) -> Float:
    """Return allowed mixtures: flat and peaked draws, and blends of trained ones."""
    rng = generator(0, "scaling.mixing.candidates")
    sources = len(allowed.least)
    drawn = [rng.dirichlet(np.full(sources, power), CANDIDATES) for power in (1.0, 0.4)]
    blends = rng.dirichlet(np.full(len(trained), 0.3), CANDIDATES) @ trained
    room = 1 - allowed.least.sum()
    found = np.concatenate([allowed.least + room * each for each in (*drawn, blends)])
    kept = found[(found <= allowed.most + 1e-9).all(axis=1)]
    middle = allowed.middle()
    if len(kept) < CANDIDATES // 10:  # tight caps: draw towards the middle of what is allowed
        pulled = middle + rng.uniform(0, 1, (len(found), 1)) ** 2 * (found - middle)
        kept = np.concatenate([kept, pulled[(pulled <= allowed.most + 1e-9).all(axis=1)]])
    return np.concatenate([kept, middle[None]])
