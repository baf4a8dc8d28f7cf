"""Learning rates by size, from the study's own small search, before any run of the sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from counterpoint.core.records import Json
from counterpoint.scaling.runs.study_table import ALL
from counterpoint.scaling.study.definition import Study
from counterpoint.scaling.study.single_run import RunTask, finished_rows


def search_task(study: Study, folder: Path, size: int, multiple: float) -> RunTask:
    """Return one run of the search."""
    search = study.search
    assert search is not None
    return RunTask(
        study=str(folder),
        name=f"n{study.sizes[size].size}-x{multiple:g}",
        kind="search",
        size=size,
        amount=search.amount,
        steps=search.steps,
        seed=search.seed,
        multiple=multiple,
    )


def wanted_tasks(study: Study, folder: Path, size: int) -> list[RunTask]:
    """Return the runs that the search of a size still needs; empty where its rate is known.

    First all given multiples; then, while the best lies at an end, one more beyond it.
    """
    if study.search is None:
        return []
    tried = search_errors(study, folder, size)
    missing = [multiple for multiple in study.search.multiples if multiple not in tried]
    if not missing and (further := _beyond(study, tried)) is not None:
        missing = [further]
    return [search_task(study, folder, size, multiple) for multiple in missing]


def search_errors(study: Study, folder: Path, size: int) -> dict[float, float]:
    """Return the validation error of every multiple that has been tried, in the order of the search."""
    assert study.search is not None
    found: dict[float, float] = {}
    for multiple in study.search.multiples:
        error = _error(search_task(study, folder, size, multiple))
        if error is not None:
            found[multiple] = error
    while len(found) >= len(study.search.multiples):
        further = _beyond(study, found)
        error = None if further is None else _error(search_task(study, folder, size, further))
        if further is None or error is None:
            break
        found[further] = error
    return found


def best_multiple(errors: Mapping[float, float]) -> float:
    """Return the multiple with the least validation error; 1 where none was tried."""
    return min(errors, key=lambda multiple: errors[multiple], default=1.0)


def rates_table(study: Study, folder: Path, sizes: Iterable[int]) -> dict[str, Json]:
    """Return what `rates.json` holds: by size, the errors tried and the rates chosen."""
    found: dict[str, Json] = {}
    for place in sizes:
        errors = search_errors(study, folder, place) if study.search is not None else {}
        best = best_multiple(errors)
        tried = {f"{multiple:g}": error for multiple, error in sorted(errors.items())}
        found[str(study.sizes[place].size)] = {
            "multiple": best,
            "muon_learning_rate": study.training.optimizer.muon_learning_rate * best,
            "learning_rate": study.training.optimizer.learning_rate * best,
            "validation_error": dict(tried),
            "at_an_end": len(errors) > 1 and best in (min(errors), max(errors)),
        }
    return found


def _beyond(study: Study, tried: Mapping[float, float]) -> float | None:
    """Return the next multiple past the end at which the best lies; None where it lies inside, or enough were tried."""
    search = study.search
    assert search is not None
    if len(tried) < 2 or len(tried) >= len(search.multiples) + search.widen:
        return None
    best, values = best_multiple(tried), sorted(tried)
    if best == values[0]:
        return values[0] ** 2 / values[1]
    if best == values[-1]:
        return values[-1] ** 2 / values[-2]
    return None


def _error(task: RunTask) -> float | None:
    rows = finished_rows(task)
    return None if rows is None else next(float(str(row["error"])) for row in rows if row["robot"] == ALL)
