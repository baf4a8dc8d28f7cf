"""The runs of a study that are made once more with more steps: as tasks, and what they found.

Made again are those on the largest amount that is not held out, which is short of training first, at the smallest and
the largest size there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from counterpoint.scaling.runs.study_table import ALL, read_rows
from counterpoint.scaling.runs.training_check import TABLE, TrainingCheck
from counterpoint.scaling.study.definition import Study, write_whole
from counterpoint.scaling.study.single_run import RunTask, finished_rows


def longer_tasks(study: Study, folder: Path, multiples: Mapping[int, float]) -> list[RunTask]:
    """Return the longer runs, at the rates of their sizes; sizes without a rate are left out."""
    return [
        RunTask(
            study=str(folder),
            name=f"{run.name}-x{study.longer:g}",
            kind="checks",
            size=run.size,
            amount=study.amounts[run.amount].amount,
            steps=study.longer_steps(run),
            seed=run.seed,
            multiple=multiples[run.size],
        )
        for run in study.checked_runs()
        if run.size in multiples
    ]


def training_checks(study: Study, folder: Path) -> tuple[TrainingCheck, ...]:
    """Return the checks of which both runs are done, in the order of sizes."""
    errors = {str(row["run"]): float(str(row["error"])) for row in read_rows(folder) if row["robot"] == ALL}
    tasks = longer_tasks(study, folder, {run.size: 1.0 for run in study.checked_runs()})
    found = []
    for run, task in zip(study.checked_runs(), tasks, strict=True):
        rows = finished_rows(task)
        if rows is None or run.name not in errors:
            continue
        found.append(
            TrainingCheck(
                run=run.name,
                size=study.sizes[run.size].size,
                amount=task.amount,
                unit=study.unit,
                steps=study.amounts[run.amount].steps,
                error=errors[run.name],
                longer_steps=task.steps,
                longer_error=next(float(str(row["error"])) for row in rows if row["robot"] == ALL),
            )
        )
    return tuple(found)


def write_checks(study: Study, folder: Path) -> None:
    """Write `training_check.json`."""
    write_whole(folder / TABLE, {"checks": [each.to_dict() for each in training_checks(study, folder)]})
