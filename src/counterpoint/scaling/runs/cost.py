"""What a run costs: hours on robots, and computing as a multiple of size x data, measured where the runs say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.runs.roles import plain
from counterpoint.scaling.runs.table import RunTable
from counterpoint.scaling.runs.units import unit_of

FLOPS = ("flops", "flop", "training_flops", "training_flop", "train_flops", "total_flops", "compute", "c")
"""Names of columns that count a run's computing."""
FLOPS_A_TOKEN = 6.0
"""Of training, for each parameter and token: forwards 2, backwards 4 (Kaplan et al. 2020)."""
MEASURES = {"gpu_hours": 1.0, "train_hours": 1.0, "train_seconds": 1 / 3600}
"""Columns that time a run, and their unit in hours; compared without case and punctuation."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Money; all in one currency."""

    hour: float = 60.0
    """An hour of robot data, with people and wear."""
    gpu_hour: float = 2.5
    """An hour of the device that trains."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not (self.hour >= 0 and self.gpu_hour >= 0 and np.isfinite(self.hour + self.gpu_hour)):
            raise ConfigError(f"prices: expected amounts of 0 or more, got {self.hour} and {self.gpu_hour}")


def data_unit(table: RunTable) -> str | None:
    """Return the unit of the data, by their column's name or that of one with the same numbers; None if none says."""
    column = table.columns.get("data", "data")
    own = table.others.get(column)
    same = (name for name, values in table.others.items() if own is not None and np.array_equal(values, own))
    return next((unit for name in (column, *same) if (unit := unit_of(name)) is not None), None)


def unpriced(table: RunTable, prices: Prices) -> list[str]:
    """Return a warning where the price of an hour is taken for another unit, or one that nothing names."""
    if prices.hour == 0 or data_unit(table) == "hours":
        return []
    column = table.columns.get("data", "data")
    return [f"The price of an hour is applied to each unit of {column!r}; give --cost-hour for one such unit."]


def gpu_hours_per_unit(table: RunTable) -> float | None:
    """Return hours of training for each unit of size x data, the median over runs; None where no column says.

    Training time is taken as proportional to size x data: one pass, or a fixed number of passes, over all data.
    """
    return None if table.size is None else _median(table, MEASURES, table.size * table.data)


def gpu_hours_per_data(table: RunTable, size: float | None) -> float | None:
    """Return hours of training for each unit of data, of a model of that size; None where no column says.

    Without a size, for laws that know none, the median over the runs as they are.
    """
    if size is None:
        return _median(table, MEASURES, table.data)
    unit = gpu_hours_per_unit(table)
    return None if unit is None else unit * size


def flops_per_unit(table: RunTable) -> float | None:
    """Return FLOPs for each unit of size x data, the median over runs; None where no column says.

    Columns are named `flops`, `compute`, `training_flop`, ...; case and punctuation do not count.
    """
    return None if table.size is None else _median(table, dict.fromkeys(FLOPS, 1.0), table.size * table.data)


def _median(table: RunTable, factors: Mapping[str, float], units: Float) -> float | None:
    """Return the median of a column over units, [rows], times the factor of its name; of numbers only."""
    for name, column in table.others.items():
        if plain(name) in factors and column.dtype.kind in "fiu":
            spent = np.asarray(column, dtype=np.float64) * factors[plain(name)]
            known = np.isfinite(spent) & (spent > 0)
            if known.any():
                return float(np.median(spent[known] / units[known]))
    return None
