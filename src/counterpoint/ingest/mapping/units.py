"""Units that a mapping file may give instead of a factor: `deg`, `mm`, `ticks:4096`."""

from __future__ import annotations

import math

from counterpoint.core.embodiment import Unit
from counterpoint.core.errors import ConfigError, unknown_name

FACTORS: dict[str, tuple[Unit, float]] = {
    "rad": ("rad", 1.0),
    "deg": ("rad", math.pi / 180),
    "turn": ("rad", 2 * math.pi),
    "rad/s": ("rad/s", 1.0),
    "deg/s": ("rad/s", math.pi / 180),
    "rpm": ("rad/s", math.pi / 30),
    "m": ("m", 1.0),
    "cm": ("m", 0.01),
    "mm": ("m", 0.001),
    "m/s": ("m/s", 1.0),
    "mm/s": ("m/s", 0.001),
    "N": ("N", 1.0),
    "Nm": ("Nm", 1.0),
    "1": ("1", 1.0),
    "percent": ("1", 0.01),
}
"""Unit of the column -> unit of the channel and factor."""

TIME_UNITS: dict[str, int] = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds of each."""


def unit_factor(unit: str, channel: Unit, where: str) -> float:
    """Return the factor from `unit` to the channel's unit.

    `ticks:4096` is an encoder with 4096 ticks per turn.

    Raises:
        ConfigError: the units measure different quantities, or the number of ticks is not positive.
        UnknownNameError: there is no such unit.
    """
    if unit.startswith("ticks:"):
        try:
            ticks = float(unit.removeprefix("ticks:"))
        except ValueError:
            ticks = math.nan
        if not (ticks > 0 and math.isfinite(ticks)):
            raise ConfigError(f"{where}: unit {unit!r}, expected ticks per turn, for example 'ticks:4096'")
        measured, factor = "rad", 2 * math.pi / ticks
    elif unit in FACTORS:
        measured, factor = FACTORS[unit]
    else:
        raise unknown_name("unit", unit, [*FACTORS, "ticks:4096"], hint=f"({where})")
    if measured != channel:
        raise ConfigError(f"{where}: a column in {unit!r} cannot be converted to a channel in {channel!r}")
    return factor


def guess_time_unit(largest: float) -> str:
    """Return the unit of a Unix clock that shows `largest`; seconds where it is no Unix time."""
    for unit, since_1970 in (("ns", 1e17), ("us", 1e14), ("ms", 1e11)):
        if largest > since_1970:
            return unit
    return "s"
