"""Pretraining sets against each other on task sets: the shape of GEN-0's Table 1.

Layouts of the table are in `transfer_table`. Without amounts of data these give ratios of errors, not effective data;
with a law from scratch of the same error (`scale fit --out`), the ratio is also counted in data.

A low error with a low reverse KL fine-tunes best; a high error with a low reverse KL is a policy of many modes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.core.seeding import generator
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.runs.column_names import is_divergence, known_column
from counterpoint.scaling.runs.expression import matching
from counterpoint.scaling.runs.roles import NAMES
from counterpoint.scaling.runs.rows import nearest
from counterpoint.scaling.runs.table import read_columns
from counterpoint.scaling.transfer.law import equivalent_data
from counterpoint.scaling.transfer.table import Cells, read_cells
from counterpoint.scaling.transfer.verdict import Gain, TransferVerdict, gain, verdict_of

SMALL = 0.95
"""Ratio that a set must be told apart from 1 for `no difference` to be said."""
DRAWS = 1000
NONE = "(from scratch)"


@dataclass(frozen=True, kw_only=True)
class SetRatio:
    """One pretraining set against the reference."""

    name: str
    tasks: int
    verdict: TransferVerdict
    metrics: dict[str, Gain]
    """By metric: its value over the reference's, geometric mean over task sets."""
    multiplier: tuple[float, float, float] | None
    """Effective data over the reference's, with its 95% interval; None without a law from scratch."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "pretraining": self.name,
            "task_sets": self.tasks,
            "verdict": self.verdict,
            "ratios": {name: each.to_dict() for name, each in self.metrics.items()},
            "data_multiplier": None
            if self.multiplier is None
            else {"value": self.multiplier[0], "ci95": [*self.multiplier[1:]]},
        }


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """All pretraining sets of a table."""

    reference: str
    error: str
    """The metric of which verdicts speak."""
    sets: tuple[SetRatio, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "reference": self.reference,
            "error": self.error,
            "sets": [each.to_dict() for each in self.sets],
            "warnings": [*self.warnings],
        }


def ratios(
    path: Path,
    *,
    pretrain: str | None = None,
    task: str | None = None,
    loss: str | None = None,
    reference: str | None = None,
    drop: str | None = None,
    scratch: FitRecord | None = None,
) -> Ratios:
    """Compare pretraining sets by their errors on the same task sets.

    Args:
        path: the table.
        pretrain: column of the pretraining set.
        task: column of the task set; where there is none, every column of numbers is a task set.
        loss: column of the error that verdicts speak of.
        reference: pretraining set to compare with; from scratch where there is such, else the mean of all.
        drop: condition of rows to leave out.
        scratch: law from scratch of the same error, to count ratios in data.

    Raises:
        ConfigError: missing columns, one set only, no task set in common.
    """
    columns = read_columns(path)
    if drop is not None:
        rows = len(next(iter(columns.values()), ()))
        columns = {name: column[~matching(drop, columns, rows)] for name, column in columns.items()}
    cells, warnings = read_cells(path, columns, pretrain, task, loss)
    error = _error(path, loss, list(cells))
    names = list(cells[error])
    if len(names) < 2:
        raise ConfigError(f"{path}: one pretraining set only ({names[0] or NONE}); there is nothing to compare it with")
    if reference is not None and reference not in names:
        raise ConfigError(
            f"{path}: --reference: no pretraining set {reference!r}; {nearest(reference, filter(None, names))}"
        )
    base = reference if reference is not None else "" if "" in names else None
    compared = [_one_set(path, cells, error, name, base, scratch) for name in names if name != base]
    if base is None:
        warnings.append(
            "no runs from scratch: ratios are to the mean of all sets, and say nothing of pretraining as such"
        )
    if max(each.tasks for each in compared) <= 2:
        warnings.append("With two task sets or fewer, intervals over task sets mean little")
    if scratch is not None:
        warnings += [f"law from scratch: {words}" for words in scratch.warnings]
    compared_with = "the mean of all sets" if base is None else base or NONE
    return Ratios(reference=compared_with, error=error, sets=tuple(compared), warnings=tuple(warnings))


def _one_set(path: Path, cells: Cells, error: str, name: str, base: str | None, scratch: FitRecord | None) -> SetRatio:
    metrics: dict[str, Gain] = {}
    tasks: list[str] = []
    multiplier = None
    for metric, sets in cells.items():
        if name not in sets or (base is not None and base not in sets):
            continue
        against = _mean(list(sets.values())) if base is None else sets[base]
        common = sorted(set(sets[name]) & set(against))
        if not common:
            if metric == error:
                raise ConfigError(f"{path}: {name!r} and the reference share no task set; nothing to compare")
            continue
        change = np.asarray([sets[name][each] - against[each] for each in common])
        drawn = generator(0, "scaling.ratios", name, metric).integers(len(change), size=(DRAWS, len(change)))
        metrics[metric] = gain(float(change.mean()), change[drawn].mean(axis=1), len(change))
        if metric == error:
            tasks = common
            if scratch is not None:
                levels = np.asarray([against[each] for each in common])
                multiplier = _multiplier(scratch, levels, change, drawn)
    return SetRatio(
        name=name or NONE,
        tasks=len(tasks),
        verdict=verdict_of(metrics[error], None, SMALL),
        metrics={error: metrics.pop(error), **metrics},
        multiplier=multiplier,
    )


def _multiplier(
    record: FitRecord, level: Float, change: Float, drawn: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> tuple[float, float, float] | None:
    """Return equivalent data of the set over that of the reference; None where the law gives no such errors."""
    found = record.estimate
    size = None if found.table.size is None else np.full(1, found.table.size.max())

    def worth(vector: Float, rows: Sequence[int] | slice) -> float:
        at, moved = level[rows].mean(keepdims=True), change[rows].mean(keepdims=True)
        ends = [float(equivalent_data(found, vector, each, size)[0]) for each in (at + moved, at)]
        return ends[0] - ends[1] if all(map(math.isfinite, ends)) else math.nan

    value = worth(found.vector, slice(None))
    many = np.asarray([worth(vector, drawn[place % len(drawn)]) for place, vector in enumerate(found.draws)])
    if not math.isfinite(value) or np.isfinite(many).mean() < 0.95:
        return None
    low, high = np.nanquantile(many, [0.025, 0.975])
    return math.exp(value), math.exp(low), math.exp(high)


def _error(path: Path, asked: str | None, metrics: list[str]) -> str:
    if asked is not None:
        if asked not in metrics:
            raise ConfigError(f"{path}: no column {asked!r} for loss; {nearest(asked, metrics)}")
        return asked
    if not metrics:
        raise ConfigError(f"{path}: no value is positive and finite; expected errors on task sets")
    known = known_column(metrics, NAMES["loss"])
    errors = [each for each in metrics if not is_divergence(each)]
    if known is None and len(errors) != 1:
        raise ConfigError(f"{path}: which of {', '.join(metrics)} is the error? Name it with --loss")
    return known or errors[0]


def _mean(sets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of the task sets that every pretraining set has."""
    common = set.intersection(*(set(each) for each in sets))
    return {task: float(np.mean([each[task] for each in sets])) for task in common}
