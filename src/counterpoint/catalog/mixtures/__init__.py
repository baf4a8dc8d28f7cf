"""Mixtures: which episodes a model learns from, split without leaks, with weights and statistics.

Training reads mixtures through these names. Making one (`freeze`) needs DuckDB and SciPy, the extra `catalog`.
"""

from counterpoint.catalog.mixtures.mixture import (
    Mixture,
    Part,
    SplitName,
    SplitSettings,
    check_mixture,
    load_mixture,
    read_mixture,
    save_mixture,
)
from counterpoint.catalog.mixtures.statistics import PROBABILITIES, StreamStatistics

__all__ = [
    "PROBABILITIES",
    "Mixture",
    "Part",
    "SplitName",
    "SplitSettings",
    "StreamStatistics",
    "check_mixture",
    "load_mixture",
    "read_mixture",
    "save_mixture",
]
