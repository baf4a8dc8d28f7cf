"""How far a fit moves when something about it changes: what was left out, and where the Huber loss turns straight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.fitting.estimate import Estimate, estimate
from counterpoint.scaling.fitting.noise import COMPARABLE_DELTA
from counterpoint.scaling.runs.expression import Column
from counterpoint.scaling.runs.table import RunTable

MOST_SEEDS = 8
"""With more seeds than this, none is dropped by itself."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """The law with one thing changed."""

    what: str
    points: int
    parameters: dict[str, float] | None
    """None where too few runs are left."""
    outside: tuple[str, ...]
    """Exponents that leave the 95% interval of the fit."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "what": self.what,
            "points": self.points,
            "parameters": None if self.parameters is None else dict(self.parameters),
            "outside": [*self.outside],
        }


def sensitivity(found: Estimate) -> list[Change]:
    """Fit again under every change: point fits, some tenths of a second each."""
    everything = np.ones(len(found.table), dtype=np.bool_)
    fine, wide = COMPARABLE_DELTA, 10 * found.delta
    changes = [
        _change(found, f"Huber delta {fine:g}, nearly absolute deviations", everything, fine),
        _change(found, f"Huber delta {wide:.2g}, nearly least squares", everything, wide),
    ]
    return changes + [_change(found, what, kept, found.delta) for what, kept in _without(found)]


def _without(found: Estimate) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    table = found.table
    name = table.columns.get("data", "data")
    yield from _ends(name, table.data)
    if table.size is not None and found.law.uses_size:
        yield from _ends(table.columns.get("size", "size"), table.size)
    seeds = _seeds(table)
    if seeds is not None:
        for seed in np.unique(seeds):
            yield f"without seed {seed}", seeds != seed


def _ends(name: str, column: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield rows without the least, the two least and the largest value; of scattered values, without a sixth."""
    values = np.unique(column)
    if len(values) > 25 and len(values) > len(column) / 2:
        low, high = np.quantile(column, [1 / 6, 5 / 6])
        yield f"without the smallest sixth by {name} (below {low:.4g})", column >= low
        yield f"without the largest sixth by {name} (above {high:.4g})", column <= high
        return
    yield f"without {name} {values[0]:.4g}, the smallest", column > values[0]
    yield f"without {name} {values[0]:.4g} and {values[1]:.4g}", column > values[1]
    yield f"without {name} {values[-1]:.4g}, the largest", column < values[-1]


def _seeds(table: RunTable) -> Column | None:
    if "seed" not in table.columns:
        return None
    seeds: Column = table.others[table.columns["seed"]].astype(str)
    return seeds if 1 < len(np.unique(seeds)) <= MOST_SEEDS else None


def _change(found: Estimate, what: str, kept: NDArray[np.bool_], delta: float) -> Change:
    points = int(kept.sum())
    try:
        again = estimate(found.table.take(kept), found.law.name, delta=min(delta, 5.0), draws=0, with_profiles=False)
    except ConfigError:
        return Change(what=what, points=points, parameters=None, outside=())
    values = {name: each.value for name, each in again.parameters.items()}
    outside = []
    for name in ("alpha", "beta"):
        if name in values:
            low, high = found.parameters[name].ci95
            if not low <= values[name] <= high:
                outside.append(name)
    return Change(what=what, points=points, parameters=values, outside=tuple(outside))
