"""Are the runs of a study trained enough? Some are made once more with more steps, and the two errors compared.

An exponent of data is one of data alone only where more steps on the same episodes no longer help. Checked are the
largest amount that is not held out, which is short of training first, at the smallest and the largest size there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.core.records import Json
from counterpoint.scaling.run_table import ALL, read_rows
from counterpoint.scaling.single_run import RunTask, finished_rows
from counterpoint.scaling.study import Study, Unit, write_whole

TABLE = "training_check.json"
SHORT = 0.05
"""A run that longer training improves by more than this is short of training."""


@dataclass(frozen=True, kw_only=True)
class TrainingCheck:
    """One run beside the same run with more steps: same episodes, rates and seed."""

    run: str
    size: int
    amount: float
    unit: Unit
    steps: int
    error: float
    longer_steps: int
    longer_error: float

    @property
    def gain(self) -> float:
        """Share of the error that the longer training took away; below 0 where it added."""
        return 1 - self.longer_error / self.error

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "run": self.run,
            "size": self.size,
            "amount": self.amount,
            "unit": self.unit,
            "steps": self.steps,
            "error": self.error,
            "longer_steps": self.longer_steps,
            "longer_error": self.longer_error,
            "gain": self.gain,
        }


def check_tasks(study: Study, folder: Path, multiples: Mapping[int, float]) -> list[RunTask]:
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
    tasks = check_tasks(study, folder, {run.size: 1.0 for run in study.checked_runs()})
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


def check_words(checks: Sequence[TrainingCheck]) -> list[str]:
    """Say what the checks found, one line each, and what it means where training was short."""
    words = [
        f"training check: {each.longer_steps} instead of {each.steps} steps on {each.amount:g} {each.unit} a robot "
        f"{'take' if each.gain >= 0 else 'add'} {100 * abs(each.gain):.1f}% {'off' if each.gain >= 0 else 'to'} the "
        f"error of size {each.size}"
        for each in checks
    ]
    if any(each.gain > SHORT for each in checks):
        words.append(
            "warning: those runs are short of training, so exponents of data hold training too; plan the study again "
            "with more --steps, or with less --data"
        )
    return words


def read_checks(folder: Path) -> list[dict[str, Json]]:
    """Return what `write_checks` wrote beside a run table; empty where nothing was checked."""
    path = folder / TABLE
    if not path.is_file():
        return []
    found: list[dict[str, Json]] = json.loads(path.read_bytes())["checks"]
    return found
