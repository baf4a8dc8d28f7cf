"""When trained mixtures cannot carry a law, and what its answer must not be used for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.mixtures.laws import MixLaw, num_parameters
from counterpoint.scaling.mixtures.optimum import inside_hull
from counterpoint.scaling.mixtures.table import Mixtures

LEAST_FOR_TREES = 12
ALIKE, SAME = 30.0, 1000.0
"""Spread of shares along their widest direction over that along their narrowest: warned of, refused."""
LOOSE = 0.5
"""Width of a weight's interval from which it says little."""
RANKS = 0.7
"""Rank correlation below which a law does not rank mixtures."""


def check_enough(mixtures: Mixtures, law: MixLaw, *, with_hours: bool) -> None:
    """Raise ConfigError where the mixtures cannot carry the law."""
    count = len(np.unique(mixtures.names))
    wanted = num_parameters(len(mixtures.sources), with_hours=with_hours) + 1 if law == "exp" else LEAST_FOR_TREES
    if count < wanted:
        raise ConfigError(
            f"{mixtures.path}: {count} different mixtures of {len(mixtures.sources)} sources, expected at least "
            f"{wanted} for law {law!r}; train more, or merge sources"
        )
    still = [name for name, share in zip(mixtures.sources, mixtures.shares.T, strict=True) if np.ptp(share) < 1e-6]
    if still:
        raise ConfigError(
            f"{mixtures.path}: the share of {', '.join(still)} is the same in every mixture, so its effect is unknown: "
            "leave it out of --sources, or train mixtures that differ in it"
        )
    spread = _spread(mixtures.shares)
    if law == "exp" and spread > SAME:
        raise ConfigError(
            f"{mixtures.path}: {_alike(mixtures)} always vary together, so their effects cannot be separated: "
            "merge them, or train mixtures that differ in them"
        )


def distrust(
    mixtures: Mixtures, law: MixLaw, best: Float, spans: Mapping[str, tuple[float, float]], rank: float,
    change: tuple[float, float], *, with_hours: bool, target: float | None,
) -> list[str]:  # fmt: skip
    """Return what stands against the answer, in words."""
    words = []
    count = len(np.unique(mixtures.names))
    wanted = num_parameters(len(mixtures.sources), with_hours=with_hours)
    if law == "exp" and count < 2 * wanted:
        words.append(
            f"{count} mixtures for {wanted} parameters a task set give wide intervals; train {2 * wanted} or more"
        )
    if law == "lgbm" and count < 5 * len(mixtures.sources):
        words.append(f"{count} mixtures are few for a tree model; compare with --law exp")
    if (spread := _spread(mixtures.shares)) > ALIKE:
        words.append(
            f"{_alike(mixtures)} vary almost together (spread {spread:.0f}x): their weights trade against each other"
        )
    if not rank >= RANKS:
        words.append(
            f"the rank correlation on left-out mixtures is only {rank:.2f}: do not choose a mixture by this law"
        )
    loose = [name for name, (low, high) in spans.items() if high - low > LOOSE]
    if loose:
        words.append(f"the weights of {', '.join(loose)} are poorly identified (intervals wider than {LOOSE})")
    if change[0] > 1:
        words.append("the best mixture within the limits is worse than the current one, which is outside them")
    elif not change[1] < 1:
        words.append("these runs do not show that the best mixture beats the current one: the interval includes 1")
    if not inside_hull(best, mixtures.shares):
        low, high = mixtures.shares.min(axis=0), mixtures.shares.max(axis=0)
        past = [
            f"{name} {share:.2f} (trained {least:.2f} to {most:.2f})"
            for name, share, least, most in zip(mixtures.sources, best, low, high, strict=True)
            if not least - 0.01 <= share <= most + 0.01
        ]
        words.append(
            "the best mixture is an extrapolation beyond the trained ones: "
            f"{', '.join(past) or 'no blend of trained mixtures gives it'}; train it before you rely on it"
        )
    if mixtures.hours is not None and not with_hours:
        words.append(
            "all mixtures have about the same hours, so the value of an hour reflects the change in shares, not "
            "in volume"
        )
    if mixtures.hours is None:
        words.append("the table has shares and no hours, so it cannot say what more data would bring")
    elif target is not None and target > 1.5 * float(mixtures.hours.max()):
        words.append(
            f"{target:g} hours are {target / float(mixtures.hours.max()):.1f} times the largest mixture: shares that "
            "are best for little data need not be for much, as small sources are repeated"
        )
    return words


def _spread(shares: Float) -> float:
    """Return the widest over the narrowest standard deviation of shares, within the plane where they sum to 1."""
    singular = np.linalg.svd(shares - shares.mean(axis=0), compute_uv=False)
    inner = singular[: shares.shape[1] - 1]
    return float(inner[0] / max(inner[-1], 1e-300))


def _alike(mixtures: Mixtures) -> str:
    """Name the sources whose blend varies least: the largest entries of the narrowest direction."""
    centred = mixtures.shares - mixtures.shares.mean(axis=0)
    directions = np.linalg.svd(centred)[2]
    narrow = np.abs(directions[len(mixtures.sources) - 2])
    order = np.argsort(-narrow)
    chosen = [mixtures.sources[j] for j in order if narrow[j] > 0.3 * narrow[order[0]]]
    return " and ".join(chosen[:3])
