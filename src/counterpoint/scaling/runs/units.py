"""Units in the names of columns: amounts in hours and in minutes must not share a column."""

from __future__ import annotations

import re

from counterpoint.core.errors import ConfigError

UNITS: dict[str, tuple[str, ...]] = {
    "seconds": ("s", "sec", "secs", "second", "seconds"),
    "minutes": ("min", "mins", "minute", "minutes"),
    "hours": ("h", "hr", "hrs", "hour", "hours"),
    "days": ("day", "days"),
    "episodes": ("episode", "episodes", "demonstrations", "demos", "trajectories"),
    "frames": ("frame", "frames"),
    "tokens": ("token", "tokens"),
    "environments": ("environment", "environments"),
    "objects": ("object", "objects"),
    "robots": ("robot", "robots"),
}


def unit_of(name: str) -> str | None:
    """Return the unit that a column's name ends with or holds, else None; arithmetic on columns says none."""
    if re.search(r"`| [-+*/] ", name):
        return None
    words = re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    for word in reversed(words):
        for unit, spellings in UNITS.items():
            if word in spellings:
                return unit
    return None


def mixed_units(role: str, before: str | None, now: str, where: str) -> None:
    """Raise ConfigError where a role's column so far and the new one say different units."""
    if before is None or role == "loss":
        return
    old, new = unit_of(before), unit_of(now)
    if old is not None and new is not None and old != new:
        raise ConfigError(
            f"{where}: mixed units: {role} came from {before!r} ({old}) so far, and from {now!r} ({new}) now; convert "
            "one, or write another table"
        )
