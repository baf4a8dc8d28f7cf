"""Log axes that people can read: few ticks, at round numbers, written plainly (0.05, 300, 12k, 1.5M)."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from counterpoint.report.scaling.words import short

MOST = 7
_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))


def plain_log(axis: Axis, low: float, high: float, most: int = MOST) -> None:
    """Make an axis logarithmic over [low, high], positive, with plain ticks."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})  # type: ignore[attr-defined]
    axis.set_major_locator(FixedLocator(ticks(low, high, most)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_locator(NullLocator())


def ticks(low: float, high: float, most: int = MOST) -> list[float]:
    """Return at most about `most` round numbers in [low, high]."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    inside: list[float] = []
    for steps in reversed(_STEPS):
        inside = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        inside = [value for value in inside if low * 0.999 <= value <= high * 1.001]
        if len(inside) <= most:
            break
    if len(inside) > most:
        return inside[:: math.ceil(len(inside) / most)]
    if len(inside) < 3:
        linear = MaxNLocator(nbins=4).tick_values(low, high)
        inside = [float(value) for value in np.asarray(linear) if low <= value <= high and value > 0]
    return inside


def around(values: list[float], margin: float = 1.12) -> tuple[float, float]:
    """Return the range of positive finite values with a margin on a log axis."""
    known = [value for value in values if math.isfinite(value) and value > 0]
    return (min(known) / margin, max(known) * margin) if known else (0.1, 1.0)
