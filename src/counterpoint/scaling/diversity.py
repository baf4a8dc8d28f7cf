"""What the data of a table of runs are made of, beside how much they are: volume is not diversity.

More data of one place bought nothing where more places did (Lin et al. 2024), so that a law in hours is told together
with the environments, objects, robots, ... that grew with them.
"""

from __future__ import annotations

import numpy as np

from counterpoint.core.records import Json
from counterpoint.scaling.table import RunTable, plain

COUNTS = (
    "hours", "episodes", "frames", "environments", "objects", "robots", "sites", "tasks", "embodiments", "operators",
)  # fmt: skip
"""Columns that count what data are made of; `num_` may stand before."""
KINDS = ("environments", "objects", "robots", "sites", "tasks", "embodiments", "operators")
"""Those that count different things; the others are volume."""
FOLLOWS = 0.9
"""Correlation of logarithms from which on what grew with the data cannot be told from them."""


def diversity(table: RunTable) -> list[Json]:
    """Return, for each column that counts what data are made of, its range and its correlation with the data.

    `correlation` is that of logarithms; None where the column is constant or incomplete.
    """
    rows: list[Json] = []
    for name, column in table.others.items():
        if name == table.columns.get("data") or _counted(name) not in COUNTS:
            continue
        try:
            values = np.asarray(column, dtype=np.float64)
        except (TypeError, ValueError):
            continue
        known = np.isfinite(values) & (values > 0)
        if not known.any():
            continue
        varies = known.all() and np.ptp(np.log(values)) > 0 and np.ptp(np.log(table.data)) > 0
        follows = float(np.corrcoef(np.log(values), np.log(table.data))[0, 1]) if varies else None
        seen = values[known]
        ends = {"least": float(seen.min()), "most": float(seen.max()), "different": len(np.unique(seen))}
        rows.append({"column": name, **ends, "correlation": follows})
    return rows


def confounded(table: RunTable) -> list[str]:
    """Return which counts of different things grew with the data, so that no law can tell the two apart."""
    return [
        str(row["column"])
        for row in diversity(table)
        if isinstance(row, dict) and _counted(str(row["column"])) in KINDS
        if isinstance(row["correlation"], float) and abs(row["correlation"]) >= FOLLOWS
    ]


def _counted(name: str) -> str:
    return plain(name).removeprefix("num_").removeprefix("n_")
