"""What a run costs: hours on robots, and computing as a multiple of size x data, measured where the runs say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.table import RunTable, plain

FLOPS = ("flops", "flop", "training_flops", "training_flop", "train_flops", "total_flops", "compute", "c")
"""Names of columns that count a run's computing."""
FLOPS_A_TOKEN = 6.0
"""Of training, for each parameter and token: forwards 2, backwards 4 (Kaplan et al. 2020)."""
MEASURES = {"gpu_hours": 1.0, "train_hours": 1.0, "train_seconds": 1 / 3600}
"""Columns that time a run, and their unit in hours."""


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


def gpu_hours_per_unit(table: RunTable) -> float | None:
    """Return hours of training for each unit of size x data, the median over runs; None where no column says.

    Training time is taken as proportional to size x data: one pass, or a fixed number of passes, over all data.
    """
    if table.size is None:
        return None
    for name, hours in MEASURES.items():
        if name in table.others:
            spent = np.asarray(table.others[name], dtype=np.float64) * hours
            known = np.isfinite(spent) & (spent > 0)
            if known.any():
                return float(np.median(spent[known] / (table.size * table.data)[known]))
    return None


def flops_per_unit(table: RunTable) -> float | None:
    """Return FLOPs for each unit of size x data, the median over runs; None where no column says.

    Columns are named `flops`, `compute`, `training_flop`, ...; case and punctuation do not count.
    """
    if table.size is None:
        return None
    for name, column in table.others.items():
        if plain(name) in FLOPS and column.dtype.kind in "fiu":
            spent = np.asarray(column, dtype=np.float64)
            known = np.isfinite(spent) & (spent > 0)
            if known.any():
                return float(np.median(spent[known] / (table.size * table.data)[known]))
    return None
