"""Tables of trained mixtures: what each was made of, and its error on every task set.

    one row a mixture      a column of hours (or shares) a source, a column of errors a task set
    one row a mixture and task set      the same, with a column that names the task set and one of errors

Sources are columns named like `hours_real`, `real_hours`, `share_sim`; errors like `error_pick`, `pick_mse`, `loss`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.runs.column_names import (
    guessed_errors,
    is_divergence,
    is_error,
    is_setting,
    known_column,
    measured_columns,
    task_column,
)
from counterpoint.scaling.runs.expression import Column, matching
from counterpoint.scaling.runs.roles import plain
from counterpoint.scaling.runs.rows import nearest
from counterpoint.scaling.runs.table import read_columns
from counterpoint.scaling.runs.units import unit_of

_AMOUNT = r"(hours?|hrs|shares?|weights?|fractions?|frac|proportions?|prop|percent|pct|ratio|mix|mixture)"
_WITHIN = r"(?:(?:n|num|data|config)[_. /:-]+)*"
_SOURCE = re.compile(
    rf"^{_WITHIN}(?:{_AMOUNT}[_. /:-]+(.+)|(.+?)[_. /:(\[-]+(?:{_AMOUNT}|(h))[)\]]?)$", re.IGNORECASE
)  # "h" is only a unit at the end
_HOURS = ("hour", "hours", "hrs", "h")
_TOTALS = ("hours", "total_hours", "hours_total", "data_hours", "training_hours", "train_hours")
_LETTER = re.compile(r"^([wpr])[_. /:-]+(.+)$", re.IGNORECASE)
"""Shares by one letter (`r_sim`): taken only where they sum to 1."""
_NAMES = ("mixture", "mix", "name", "run", "run_id", "run_name", "dataset", "data_set", "mixture_id")
_OTHER_UNITS = ("seconds", "minutes", "days", "episodes", "frames", "tokens")
_NO_SOURCE = ("total", "gpu", "train", "training", "wall", "name", "id", "data", "n", "num")
_ROUND = 0.02
"""How far shares of a row may sum away from 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixtures:
    """Trained mixtures."""

    path: str
    sources: tuple[str, ...]
    tasks: tuple[str, ...]
    """Task sets: the columns of errors."""
    names: NDArray[np.str_]
    """[rows] name of the mixture: rows of one mixture (seeds) are never drawn apart."""
    shares: Float
    """[rows, sources]; rows sum to 1."""
    hours: Float | None
    """[rows] hours in all; None where the table gives shares."""
    log_errors: Float
    """[rows, tasks]."""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.shares)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Mixtures:
        """Return the chosen rows."""
        return Mixtures(
            path=self.path,
            sources=self.sources,
            tasks=self.tasks,
            names=self.names[rows],
            shares=self.shares[rows],
            hours=None if self.hours is None else self.hours[rows],
            log_errors=self.log_errors[rows],
            warnings=self.warnings,
        )


def read_mixtures(
    path: Path,
    *,
    sources: Sequence[str] = (),
    errors: Sequence[str] = (),
    task: str | None = None,
    drop: str | None = None,
) -> Mixtures:
    """Read mixtures; columns are found by their names where they are not given.

    Raises:
        ConfigError: a column is missing (offers the nearest), shares do not sum to 1, hours and shares are mixed,
            an error is not positive and finite, a mixture lacks a task set.
    """
    columns = read_columns(path)
    if drop is not None:
        rows = len(next(iter(columns.values()), ()))
        columns = {name: column[~matching(drop, columns, rows)] for name, column in columns.items()}
    if not len(next(iter(columns.values()), ())):
        raise ConfigError(f"{path}: no rows; expected one a trained mixture")
    chosen = _sources(path, columns, sources)
    measured = _errors(path, columns, errors, chosen)
    amounts = np.stack([_numbers(path, name, columns[name], least=0.0) for name in chosen.values()], axis=1)
    values = np.stack([_numbers(path, name, columns[name], least=None) for name in measured], axis=1)
    names = _names(columns, amounts)
    total = None if any(map(_counts_hours, chosen.values())) else known_column(columns, _TOTALS)
    if total is not None:  # shares, and hours in all beside them
        amounts = np.concatenate([amounts, _numbers(path, total, columns[total], least=None)[:, None]], axis=1)
    at = task_column(path, columns, task) if len(measured) == 1 or task is not None else None
    tasks: tuple[str, ...] = tuple(measured)
    if at is not None:
        if len(measured) > 1:
            raise ConfigError(
                f"{path}: with a column of task sets, expected one column of errors; name it with --errors"
            )
        names, amounts, values, tasks = _by_task(path, names, columns[at].astype(str), amounts, values[:, 0])
    shares, hours = _shares(path, list(chosen.values()), amounts[:, : len(chosen)])
    hours = hours if total is None else amounts[:, -1]
    _check_names(path, names, shares)
    if still := [task for task, column in zip(tasks, values.T, strict=True) if np.ptp(np.log(column)) == 0]:
        raise ConfigError(f"{path}: the error {', '.join(still)} is the same in every row; leave it out with --errors")
    return Mixtures(
        path=str(path), sources=tuple(chosen), tasks=tasks, names=names, shares=shares, hours=hours,
        log_errors=np.log(values), warnings=(() if errors else tuple(guessed_errors(measured))),
    )  # fmt: skip


def _sources(path: Path, columns: Mapping[str, Column], asked: Sequence[str]) -> dict[str, str]:
    """Return column by source."""
    for name in asked:
        if name not in columns:
            raise ConfigError(f"{path}: --sources: no column {name!r}; {nearest(name, columns)}")
    found = {}
    for name in asked or columns:
        match = _SOURCE.match(name)
        if match is not None and not (_is_measured(name) and not asked):
            found[match.group(2) or match.group(3)] = name
        elif asked:
            found[name] = name
    found = {each: name for each, name in found.items() if asked or each.lower() not in _NO_SOURCE}
    if not asked:
        _check_units(path, columns, found)
    if len(found) < 2 and not asked:
        found = _shares_by_sum(columns)
    if len(found) < 2:
        raise ConfigError(
            f"{path}: expected two or more sources (columns such as hours_real or share_sim), got "
            f"{', '.join(found) or 'none'}; it has {', '.join(columns)}. Name them with --sources; if each row is one "
            "data set and no blend, compare them with 'counterpoint scale transfer'"
        )
    return found


def _check_units(path: Path, columns: Mapping[str, Column], found: Mapping[str, str]) -> None:
    """Raise ConfigError where sources are counted in anything but hours or shares."""
    counted = {plain(each) for each in (*found, *_NO_SOURCE)}
    others = {}
    for name in columns:
        words = plain(name).split("_")
        unit = next((unit for word in words if (unit := unit_of(word)) in _OTHER_UNITS), None)
        source = "_".join(word for word in words if unit_of(word) not in _OTHER_UNITS)
        if unit is not None and source and not counted & {source, *words}:
            others[name] = unit
    if others:
        said = ", ".join(f"{name!r} ({unit})" for name, unit in others.items())
        raise ConfigError(
            f"{path}: {said}: sources are counted in hours (hours_real) or shares (share_real), all in one of them; "
            "convert these, or name the sources with --sources"
        )


def _check_names(path: Path, names: NDArray[np.str_], shares: Float) -> None:
    """Raise ConfigError where rows of one name are different mixtures."""
    first = np.unique(names, return_index=True, return_inverse=True)
    apart = np.abs(shares - shares[first[1]][first[2].ravel()]).max(axis=1) > _ROUND
    if apart.any():
        row = int(np.flatnonzero(apart)[0])
        raise ConfigError(
            f"{path}: row {row + 1}: mixture {str(names[row])!r} has other shares than in an earlier row; give every "
            "mixture a name of its own (rows of one name are seeds)"
        )


def _shares_by_sum(columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the columns of numbers that sum to 1 (or 100) in every row, as `w_sim` or as `sim`; none if none do."""
    numbers = [name for name, column in columns.items() if column.dtype.kind in "fiu" and not _is_measured(name)]
    letters = {match.group(2): name for name in numbers if (match := _LETTER.match(name))}
    amounts = (*_OTHER_UNITS, "hours")
    bare = {name: name for name in numbers if not is_setting(name) or unit_of(name) not in (None, *amounts)}
    for found in (letters, bare):
        if len(found) > 1 and _is_whole(np.sum([columns[name] for name in found.values()], axis=0)):
            return found
    return {}


def _counts_hours(name: str) -> bool:
    match = _SOURCE.match(name)
    said = None if match is None else next(filter(None, match.group(1, 4, 5)), None)
    return unit_of(name) == "hours" if said is None else said.lower() in _HOURS


def _is_whole(total: Float) -> bool:
    return any(bool((np.abs(total - whole) <= _ROUND * whole).all()) for whole in (1.0, 100.0))


def _is_measured(name: str) -> bool:
    return is_error(name) or is_divergence(name)


def _errors(path: Path, columns: Mapping[str, Column], asked: Sequence[str], sources: Mapping[str, str]) -> list[str]:
    for name in asked:
        if name not in columns:
            raise ConfigError(f"{path}: --errors: no column {name!r}; {nearest(name, columns)}")
        if name in sources.values():
            raise ConfigError(f"{path}: --errors: {name!r} is a source")
    found = list(asked) or [
        name for name in measured_columns(path, columns, sources.values()) if plain(name) not in _NAMES
    ]  # fmt: skip
    if not asked and any(not is_divergence(name) for name in found):
        found = [name for name in found if not is_divergence(name)]  # a divergence is no error
    if not found:
        raise ConfigError(
            f"{path}: no columns of errors (such as error_pick or pick_mse); it has {', '.join(columns)}. Name them "
            "with --errors"
        )
    return found


def _numbers(path: Path, name: str, column: Column, *, least: float | None) -> Float:
    try:
        numbers = column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: column {name!r} is not numbers ({error}); give plain numbers of one unit"
        ) from error
    bad = ~np.isfinite(numbers) | (numbers <= 0 if least is None else numbers < least)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        wanted = "positive and finite" if least is None else "0 or more"
        raise ConfigError(
            f"{path}: column {name!r}: {int(bad.sum())} values are not {wanted} (row {row + 1}: {numbers[row]:g}); "
            "correct them, or leave the rows out with --drop"
        )
    return numbers


def _names(columns: Mapping[str, Column], amounts: Float) -> NDArray[np.str_]:
    found = known_column(columns, _NAMES)
    if found is not None:
        return np.asarray(columns[found].astype(str), dtype=np.str_)
    # Rows of the same amounts are seeds of one mixture.
    return np.asarray([" ".join(f"{each:.6g}" for each in row) for row in amounts], dtype=np.str_)


def _by_task(
    path: Path, names: NDArray[np.str_], tasks: NDArray[np.str_], amounts: Float, values: Float
) -> tuple[NDArray[np.str_], Float, Float, tuple[str, ...]]:
    """Return rows a mixture with a column a task set; several rows of both are averaged in logarithms."""
    all_names, first, owner = np.unique(names, return_index=True, return_inverse=True)
    all_tasks, place = np.unique(tasks, return_inverse=True)
    if not np.allclose(amounts, amounts[first][owner.ravel()], rtol=1e-6):
        row = int(np.flatnonzero(~np.isclose(amounts, amounts[first][owner.ravel()], rtol=1e-6).all(axis=1))[0])
        raise ConfigError(f"{path}: row {row + 1}: mixture {str(names[row])!r} has other amounts than before")
    count = np.zeros((len(all_names), len(all_tasks)))
    total = np.zeros_like(count)
    np.add.at(count, (owner.ravel(), place.ravel()), 1)
    np.add.at(total, (owner.ravel(), place.ravel()), np.log(values))
    if (count == 0).any():
        which, what = np.argwhere(count == 0)[0]
        raise ConfigError(
            f"{path}: mixture {str(all_names[which])!r} has no error on task set {str(all_tasks[what])!r}"
        )
    return all_names, amounts[first], np.exp(total / count), tuple(all_tasks.tolist())


def _shares(path: Path, names: Sequence[str], amounts: Float) -> tuple[Float, Float | None]:
    """Return shares that sum to 1, and hours in all where amounts are hours."""
    total = amounts.sum(axis=1)
    if (total <= 0).any():
        raise ConfigError(f"{path}: row {int(np.flatnonzero(total <= 0)[0]) + 1} has no data of any source")
    said = [_counts_hours(name) for name in names]
    if (
        any(said)
        and not all(said)
        and any(_SOURCE.match(name) for name, hours in zip(names, said, strict=True) if not hours)
    ):
        raise ConfigError(f"{path}: sources in hours and in shares are mixed ({', '.join(names)}); give one of them")
    if not any(said) and not _is_whole(total):
        row = int(np.argmax(np.minimum(np.abs(total - 1), np.abs(total / 100 - 1))))
        raise ConfigError(
            f"{path}: shares of row {row + 1} sum to {total[row]:g}, expected 1 (or 100); name all sources, or give "
            "hours in columns named so"
        )
    return amounts / total[:, None], total if any(said) else None
