"""Tables of data sets by task sets, in the layouts that laboratories keep.

    one row a data set and task set     dataset, task_set, next_action_mse, reverse_kl
    the same with a row a metric        dataset, task_set, metric, value
    one row a data set                  dataset, pick_next_action_mse, pick_reverse_kl, fold_next_action_mse, ...
    one row a task set                  task_set, set_a_mse, set_b_mse, ...

Columns that are no errors (hours, seeds, sizes) are left out; only columns that say `mse`, `error`, `kl`, ... count
where there is one, so that an amount is never taken for an error.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.column_names import (
    guessed_errors,
    is_divergence,
    is_error,
    known_column,
    labels,
    measured_columns,
    pretraining_column,
    task_column,
    without_metric,
)
from counterpoint.scaling.runs.expression import Column
from counterpoint.scaling.runs.roles import NAMES
from counterpoint.scaling.runs.rows import nearest

Cells = dict[str, dict[str, dict[str, float]]]
"""ln of a metric, by metric, pretraining set and task set; '' is from scratch."""
METRICS = ("metric", "metrics", "metric_name", "measure")
Measured = tuple[str, str, str, float]
"""Metric, pretraining set, task set, value."""


def read_cells(
    path: Path, columns: Mapping[str, Column], pretrain: str | None, task: str | None, loss: str | None
) -> tuple[Cells, list[str]]:
    """Return ln of every metric, and warnings; means where a set and task set stand there several times.

    Args:
        path: the table's file, for messages.
        columns: [rows] each.
        pretrain: column of the pretraining set; by its name where left out.
        task: column of the task set; by its name where left out.
        loss: column of the error, if it was named.

    Raises:
        ConfigError: no column of pretraining sets or of errors, or one of them holds no numbers.
    """
    warnings: list[str] = []
    tasks = task_column(path, columns, task)
    if loss is not None and tasks is not None and loss not in columns and known_column(columns, METRICS) is None:
        raise ConfigError(f"{path}: no column {loss!r} for loss; {nearest(loss, columns)}")
    if pretrain is None and tasks is not None and _is_turned(columns, tasks):
        measured = _turned(path, columns, tasks)
    else:
        own = pretraining_column(path, columns, pretrain)
        if tasks is None:
            measured = _wide(path, columns, own)
            warnings += guessed_errors(measured_columns(path, columns, (own,)))
        else:
            measured = _long(path, columns, own, tasks, loss)
            _check_sizes(path, columns, own)
        warnings += _repeated(columns, own, tasks)
    gathered: dict[str, dict[str, dict[str, list[float]]]] = {}
    bad: dict[str, int] = {}
    for metric, name, at, value in measured:
        if math.isfinite(value) and value > 0:
            gathered.setdefault(metric, {}).setdefault(name, {}).setdefault(at, []).append(math.log(value))
        else:
            bad[metric] = bad.get(metric, 0) + 1
    warnings += [
        f"{metric!r}: {count} values that are not positive and finite left out" for metric, count in bad.items()
    ]
    cells = {
        metric: {name: {at: float(np.mean(found)) for at, found in cell.items()} for name, cell in sets.items()}
        for metric, sets in gathered.items()
    }
    return cells, warnings


def _long(path: Path, columns: Mapping[str, Column], own: str, task: str, loss: str | None) -> list[Measured]:
    """Return what a table with a row a data set and task set says."""
    kind = known_column(columns, METRICS)
    names = measured_columns(path, columns, (own, task, kind))
    if loss is not None and loss in columns and loss not in names:
        names.append(loss)
    if not names:
        raise ConfigError(f"{path}: no columns of numbers beside {own!r} and {task!r}; expected errors on task sets")
    if kind is not None and len(names) > 1:
        raise ConfigError(
            f"{path}: with a column of metrics ({kind!r}), expected one column of values, got {', '.join(names)}"
        )
    sets, tasks = labels(columns[own]).tolist(), columns[task].astype(str).tolist()
    found: list[Measured] = []
    for name in names:
        metrics = [name] * len(sets) if kind is None else columns[kind].astype(str).tolist()
        found += zip(metrics, sets, tasks, _floats(path, name, columns[name]), strict=True)
    return found


def _check_sizes(path: Path, columns: Mapping[str, Column], own: str) -> None:
    """Raise ConfigError where data sets were tried with different sizes of the model: their means would not compare."""
    size = known_column(columns, NAMES["size"])
    if size is None or columns[size].dtype.kind not in "fiu":
        return
    tried: dict[str, set[float]] = {}
    for name, value in zip(labels(columns[own]).tolist(), columns[size].tolist(), strict=True):
        tried.setdefault(name, set()).add(value)
    first, *others = tried
    for name in others:
        if tried[name] != tried[first]:
            two = " and ".join(repr(each or "from scratch") for each in (first, name))
            raise ConfigError(
                f"{path}: {two} were tried with different sizes of the model (column {size!r}); keep those that all "
                "have, with --drop"
            )


def _repeated(columns: Mapping[str, Column], own: str, tasks: str | None) -> list[str]:
    """Return a warning where rows stand for the same run."""
    apart = [known_column(columns, names) for names in (METRICS, ("seed",), ("run", "run_id"), NAMES["size"])]
    keys = [columns[name].astype(str).tolist() for name in (own, tasks, *apart) if name is not None]
    rows = Counter(zip(*keys, strict=True))
    count = sum(each - 1 for each in rows.values())
    words = f"{count} rows repeat a data set (and task set) without another seed: geometric means count"
    return [f"{words}; the same run twice?"] if count else []


def _wide(path: Path, columns: Mapping[str, Column], own: str) -> list[Measured]:
    """Return what a table with a row a data set and a column a task set says."""
    sets = labels(columns[own]).tolist()
    names = measured_columns(path, columns, (own,))
    if not names:
        raise ConfigError(f"{path}: no columns of numbers beside {own!r}; expected errors on task sets")
    return [
        (_metric(name), each, without_metric(name), value)
        for name in names
        for each, value in zip(sets, _floats(path, name, columns[name]), strict=True)
    ]


def _is_turned(columns: Mapping[str, Column], task: str) -> bool:
    """Whether a table has a row a task set and a column a data set."""
    others = [column for name, column in columns.items() if name != task]
    rows = columns[task].astype(str).tolist()
    return len(others) > 1 and len(set(rows)) == len(rows) and all(column.dtype.kind in "fiu" for column in others)


def _turned(path: Path, columns: Mapping[str, Column], task: str) -> list[Measured]:
    """Return what a table with a row a task set and a column a data set says."""
    tasks = columns[task].astype(str).tolist()
    says = any(is_error(name) or is_divergence(name) for name in columns)
    names = measured_columns(path, columns, (task,)) if says else [name for name in columns if name != task]
    sets = labels(np.asarray([without_metric(name) for name in names], dtype=object)).tolist()
    return [
        (_metric(name), each, at, value)
        for name, each in zip(names, sets, strict=True)
        for at, value in zip(tasks, _floats(path, name, columns[name]), strict=True)
    ]


def _metric(name: str) -> str:
    return "reverse KL" if is_divergence(name) else "error"


def _floats(path: Path, name: str, column: Column) -> Sequence[float]:
    try:
        return [float(each) for each in column.astype(np.float64)]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: column {name!r} is not numbers ({error}); give plain numbers of one unit"
        ) from error
