"""Executing a study: search for rates, the runs, some of them longer; held-out runs only when they are released.

    rates.wanted_tasks --engine--> search/NAME/result.json --> rates.json
    Study.runs         --engine--> runs/NAME/result.json   --> runs.jsonl, runs.csv
    Study.checked_runs --engine--> checks/NAME/result.json --> training_check.json

Nothing that was finished is done again, whenever this process was killed: a run's result is written whole by
whoever ran it, and taken into the table from there. A run that fails is recorded with its reason, stops no other,
and is tried again at the next call.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, RunRecord
from counterpoint.engine import Engine, EngineName, open_engine
from counterpoint.engine.progress import Progress
from counterpoint.scaling.runs.study_table import append_rows, complete_runs, read_rows
from counterpoint.scaling.runs.training_check import TrainingCheck
from counterpoint.scaling.study.definition import Study, StudyRun, load_study, write_whole
from counterpoint.scaling.study.longer_runs import longer_tasks, training_checks, write_checks
from counterpoint.scaling.study.prediction import predict_held_out
from counterpoint.scaling.study.rates import best_multiple, rates_table, search_errors, wanted_tasks
from counterpoint.scaling.study.single_run import RunTask, execute, finished_rows
from counterpoint.scaling.study.subset import check_pool, open_pool

log = logging.getLogger(__name__)
Notice = Callable[[int, int], None]
"""Called with how many runs of how many are done."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that ended without a result."""

    run: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyState:
    """How far a study is."""

    done: int
    total: int
    """All runs, held-out ones included."""
    waiting: int
    """Held-out runs that were not released."""
    failures: tuple[Failure, ...]
    """Of this call."""
    train_s: float
    """Seconds of training of all finished runs."""
    table: Path
    checks: tuple[TrainingCheck, ...] = ()
    """What longer training gained, where it was tried."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "done": self.done,
            "total": self.total,
            "waiting": self.waiting,
            "failures": [{"run": each.run, "reason": each.reason} for each in self.failures],
            "train_seconds": self.train_s,
            "table": str(self.table),
            "training_check": [each.to_dict() for each in self.checks],
        }


def run_study(
    folder: Path,
    *,
    engine: EngineName = "local",
    workers: int | None = None,
    address: str | None = None,
    predict: bool = False,
    release: bool = False,
    progress: bool = True,
    on_run: Notice | None = None,
) -> StudyState:
    """Execute what is missing of a study.

    Args:
        folder: holds `study.json`.
        engine: `local` or `ray`; with Ray on several machines they must share the folder and the stores.
        workers: runs at the same time; None for one a core.
        address: Ray cluster to join.
        predict: write down what the held-out runs will give, once all others are done, and run none of them.
        release: run the held-out cells too. They are predicted first, where that was not done before.
        progress: whether to show a bar, with the time left by the planned cost of each run.
        on_run: told of every finished run, and once at the start.

    Raises:
        ConfigError: no study, its stores have changed, another process is at it, or a prediction or release
            before all other runs are done.
    """
    study, folder = load_study(folder), folder.resolve()
    with _alone(folder):
        check_pool(study, open_pool(study.training, study.validation_fraction))
        _add_results(study, folder)
        runs = [run for run in study.runs() if not run.held_out]
        failures, runner = list[Failure](), open_engine(engine, workers=workers, address=address)
        failures += _sweep(study, folder, runs, runner, progress, on_run)
        failures += _check_training(study, folder, runner, progress)
        if (predict or release) and (held := [run for run in study.runs() if run.held_out]):
            missing = {run.name for run in runs} - complete_runs(read_rows(folder))
            if missing:
                raise ConfigError(
                    f"{folder}: {len(missing)} runs outside the hold-out have failed ({sorted(missing)[0]}, ...); the "
                    "held-out ones are predicted from them, so run the study again first; reasons: failures.jsonl"
                )
            predict_held_out(study, folder)
            if release:
                failures += _sweep(study, folder, held, runner, progress, on_run)
        return state(study, folder, failures)


def state(study: Study, folder: Path, failures: Sequence[Failure] = ()) -> StudyState:
    """Return how far a study is."""
    rows = read_rows(folder)
    done = complete_runs(rows)
    runs = study.runs()
    seconds = {str(row["run"]): float(str(row["train_seconds"])) for row in rows}
    return StudyState(
        done=sum(run.name in done for run in runs),
        total=len(runs),
        waiting=sum(run.held_out and run.name not in done for run in runs),
        failures=tuple(failures),
        train_s=sum(seconds.values()),
        table=folder / "runs.csv",
        checks=training_checks(study, folder),
    )


def run_task(study: Study, folder: Path, run: StudyRun, multiple: float) -> RunTask:
    """Return one run of the sweep at the rates chosen for its size."""
    amount = study.amounts[run.amount]
    return RunTask(
        study=str(folder),
        name=run.name,
        kind="runs",
        size=run.size,
        amount=amount.amount,
        steps=amount.steps,
        seed=run.seed,
        multiple=multiple,
        held_out=run.held_out,
    )


def _sweep(
    study: Study, folder: Path, runs: Sequence[StudyRun], engine: Engine, progress: bool, on_run: Notice | None
) -> list[Failure]:
    """Search the rates of the runs' sizes, then make the runs that are missing."""
    sizes = sorted({run.size for run in runs})
    failures = _search(study, folder, sizes, engine, progress)
    chosen, done = _chosen(study, folder, sizes), complete_runs(read_rows(folder))
    missing = [
        run_task(study, folder, run, chosen[run.size]) for run in runs if run.name not in done and run.size in chosen
    ]
    count = sum(run.name in done for run in runs)
    if on_run is not None:
        on_run(count, len(runs))
    for task, rows in _executed(study, folder, missing, engine, failures, "runs" if progress else ""):
        append_rows(folder, rows)
        log.debug("%s: done", task.name)
        count += 1
        if on_run is not None:
            on_run(count, len(runs))
    return failures


def _search(study: Study, folder: Path, sizes: Sequence[int], engine: Engine, progress: bool) -> list[Failure]:
    """Make the runs of the search, round by round, until every size has its rate or a run of it has failed."""
    failures: list[Failure] = []
    while True:
        failed = {failure.run for failure in failures}
        tasks = [
            task for size in sizes for task in wanted_tasks(study, folder, size) if f"search/{task.name}" not in failed
        ]
        if not tasks:
            break
        for task, _ in _executed(study, folder, tasks, engine, failures, "learning rates" if progress else ""):
            log.debug("%s: done", task.name)
    found = [place for place in range(len(study.sizes)) if not wanted_tasks(study, folder, place)]
    write_whole(folder / "rates.json", rates_table(study, folder, found))
    return failures


def _check_training(study: Study, folder: Path, engine: Engine, progress: bool) -> list[Failure]:
    """Make the longer runs that are missing, once the runs that they are compared with are there."""
    failures: list[Failure] = []
    checked, done = study.checked_runs(), complete_runs(read_rows(folder))
    if not checked or any(run.name not in done for run in checked):
        return failures
    tasks = longer_tasks(study, folder, _chosen(study, folder, [run.size for run in checked]))
    missing = [task for task in tasks if finished_rows(task) is None]
    for task, _ in _executed(study, folder, missing, engine, failures, "training check" if progress else ""):
        log.debug("%s: done", task.name)
    write_checks(study, folder)
    return failures


def _chosen(study: Study, folder: Path, sizes: Sequence[int]) -> dict[int, float]:
    """Return the multiple of the rates of each size; sizes whose search is not done are left out."""
    return {
        size: best_multiple(search_errors(study, folder, size) if study.search else {})
        for size in sizes
        if not wanted_tasks(study, folder, size)
    }


def _executed(
    study: Study, folder: Path, tasks: Sequence[RunTask], engine: Engine, failures: list[Failure], label: str
) -> Iterator[tuple[RunTask, list[dict[str, Json]]]]:
    """Yield finished runs with their rows; failed ones go to the record and to `failures`."""
    if not tasks:
        return
    total = sum(study.planned_s(task.size, task.steps) for task in tasks)
    record = RunRecord(folder / "failures.jsonl")
    with Progress(label, total=total, shown=bool(label)) as progress:
        try:
            for number, done in enumerate(engine.run(execute, tasks)):
                progress.status = f"{number + 1} of {len(tasks)} runs, last {done.task.name}"
                progress.update(study.planned_s(done.task.size, done.task.steps))
                if done.result is not None:
                    yield done.task, done.result
                    continue
                name = done.task.name if done.task.kind == "runs" else f"{done.task.kind}/{done.task.name}"
                failures.append(Failure(run=name, reason=done.message))
                record.write("note", run=name, reason=done.message)
                log.warning("%s failed: %s", name, done.message)
        finally:
            record.close()


def _add_results(study: Study, folder: Path) -> None:
    """Bring results into the table that were written after this process was killed."""
    done = complete_runs(read_rows(folder))
    for run in study.runs():
        if run.name not in done and (rows := finished_rows(run_task(study, folder, run, 1.0))) is not None:
            append_rows(folder, rows)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the study's lock; the kernel drops it when this process ends, however it ends."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{folder}: another 'scale run' is running this study; let it finish") from error
        yield
