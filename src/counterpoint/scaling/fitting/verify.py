"""Holding a fit to its word: predictions of runs that it has not seen, and whether they pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.fitting.holdout import HoldOut, compare, score
from counterpoint.scaling.runs.table import RunTable

TOLERANCE = 0.05
"""Mean absolute relative error that passes by default."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What became of the predictions."""

    holdout: HoldOut
    refitted: bool
    """Whether the law was fitted again without the held-out runs; new runs are predicted by the fit as it is."""
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "passed": self.passed,
            "refitted": self.refitted,
            "failures": [*self.failures],
            **self.holdout.to_dict(),
        }


def verify(
    record: FitRecord, condition: str | None, new_runs: RunTable | None = None, tolerance: float = TOLERANCE
) -> Verification:
    """Predict held-out runs.

    Args:
        record: the fit.
        condition: which runs are held out; the fit is made again without them. With `new_runs`, which of those.
        new_runs: runs that were made after the fit; predicted by it as it is.
        tolerance: mean absolute relative error that passes.

    Raises:
        ConfigError: no run is held out, or too little is left for the law.
        UnknownNameError: the condition names a column that is not there.
    """
    if not 0 < tolerance < 1:
        raise ConfigError(f"--tolerance: expected a share between 0 and 1, got {tolerance}")
    found = record.estimate
    if new_runs is not None:
        chosen = new_runs if condition is None else new_runs.take(_rows(new_runs, condition))
        if not len(chosen):
            raise ConfigError(f"{new_runs.path}: no run matches {condition!r}")
        held = compare(found, chosen, condition or "all new runs")
    elif condition is None:
        raise ConfigError("give --holdout with a condition such as 'data >= 100', or --runs with new runs")
    else:
        held = score(found.table, found.law.name, _rows(found.table, condition), condition, found.delta)
    failures = []
    if held.mare > tolerance:
        failures.append(
            f"missed by {100 * held.mare:.1f}% on average (bias {100 * held.bias:+.1f}%), "
            f"more than {100 * tolerance:.0f}%"
        )
    if held.misses_too_often:
        failures.append(f"only {100 * held.coverage:.0f}% of the runs are inside their 95% intervals")
    return Verification(holdout=held, refitted=new_runs is None, failures=tuple(failures))


def _rows(table: RunTable, condition: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the rows that fulfil a condition; `data`, `size` and `loss` are known beside the columns' own names."""
    roles = {"data": table.data, "loss": table.loss, **({} if table.size is None else {"size": table.size})}
    return replace(table, others={**roles, **table.others}).where(condition)
