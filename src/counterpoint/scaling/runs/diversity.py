"""What the data of a table of runs are made of, beside how much they are: volume is not diversity.

More data of one place bought nothing where more places did (Lin et al. 2024), so that a law in hours is told together
with the environments, objects, robots, ... that grew with them.
"""

from __future__ import annotations

import numpy as np

from counterpoint.core.records import Json
from counterpoint.scaling.runs.roles import KINDS, counted
from counterpoint.scaling.runs.table import RunTable

COUNTS = ("hours", "episodes", "frames", *KINDS)
"""Columns that count what data are made of; those of KINDS count different things, the others are volume."""
APART = 1.5
"""Ratio of two counts from which on runs of equal data differ in more than the draw of a seed."""
FOLLOWS = 0.9
"""Correlation of logarithms from which on what grew with the data cannot be told from them."""


def diversity(table: RunTable) -> list[Json]:
    """Return, for each column that counts what data are made of, its range and its correlation with the data.

    `correlation` is that of logarithms; None where the column is constant or incomplete.
    """
    rows: list[Json] = []
    for name, column in table.others.items():
        if name == table.columns.get("data") or counted(name) not in COUNTS:
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
        if isinstance(row, dict) and counted(str(row["column"])) in KINDS
        if isinstance(row["correlation"], float) and abs(row["correlation"]) >= FOLLOWS
    ]


def pooled(table: RunTable) -> list[tuple[str, int]]:
    """Return which counts of things differ between runs of equal data and size, and how many values each has."""
    places = np.stack([table.data, np.ones_like(table.data) if table.size is None else table.size], axis=1)
    _, place = np.unique(places, axis=0, return_inverse=True)
    found = []
    for name, column in table.others.items():
        if name == table.columns.get("data") or counted(name) not in KINDS or column.dtype.kind not in "fiu":
            continue
        values = np.asarray(column, dtype=np.float64)
        least, most = np.full(place.max() + 1, np.inf), np.full(place.max() + 1, -np.inf)
        np.minimum.at(least, place.ravel(), values)
        np.maximum.at(most, place.ravel(), values)
        if ((least > 0) & (most >= APART * least)).any():
            found.append((name, len(np.unique(values))))
    return found


def describe_diversity(table: RunTable) -> str:
    """Return in a line what the data are made of, beside how much they are."""
    column = table.columns.get("data", "data")
    words = []
    for row in diversity(table):
        assert isinstance(row, dict)  # as `diversity` writes them
        follows = row["correlation"]
        how = f"correlation {round(follows, 2) + 0.0:.2f}" if isinstance(follows, float) else "does not vary"
        words.append(f"{row['column']} {row['least']:g} to {row['most']:g} ({how})")
    return f"beside {column!r}: {', '.join(words) or 'no column counts environments, objects, robots, ...'}"
