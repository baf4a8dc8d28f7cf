"""Error against data for one size of model: a small study without search or hold-out, and its laws by robot.

    amounts x seeds --execute--> runs.jsonl, runs.csv --fit--> law.json

Every run has the same steps. Rows of robot `all` have the geometric mean over robots: each robot weighs alike in
a law that is fitted on logs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.runs.study_table import ALL, read_rows
from counterpoint.scaling.runs.table import read_runs
from counterpoint.scaling.study.definition import Study, StudyAmount, load_study, save_study
from counterpoint.scaling.study.execute import Notice, run_study
from counterpoint.scaling.study.subset import open_pool
from counterpoint.scaling.study.timing import describe_size
from counterpoint.train.config import TrainConfig

CurveLaw = Literal["power", "power_floor"]
MIN_AMOUNTS = 4
"""Least number of different data amounts for a law."""
DRAWS = 200
SHARED_SUBSETS = (
    "All seeds share nested subsets of the episodes, so intervals leave out the variance of which episodes were drawn."
)
"""Warning that goes with every law of a study whose seeds share their episodes."""
ONE_SEED = "With one seed an amount, intervals show scatter about the law, not between seeds."


@dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """A study of one model over amounts of data."""

    training: TrainConfig
    """What each run trains, model and steps included; `out` and `seed` are set by the study."""
    amounts: tuple[int, ...]
    """Episodes a robot; at least four different ones for a law."""
    num_seeds: int = 1
    """Runs at each amount."""
    offline: OfflineConfig = field(default_factory=lambda: OfflineConfig(samples=1, max_decisions=200))
    workers: int = 1
    """Runs at the same time; give each its share of threads in `training.threads`."""
    law: CurveLaw = "power"

    def __post_init__(self) -> None:
        """Check amounts."""
        if len(set(self.amounts)) < MIN_AMOUNTS or min(self.amounts, default=0) < 1:
            raise ConfigError(
                f"curve.amounts: expected {MIN_AMOUNTS} or more different numbers of episodes, got {self.amounts}"
            )
        if self.num_seeds < 1 or self.workers < 1:
            raise ConfigError(
                f"curve: expected num_seeds and workers of at least 1, got {self.num_seeds}, {self.workers}"
            )
        if self.training.steps is None:
            raise ConfigError("curve.training.steps: expected a number of steps, the same for all runs, got none")


def curve_study(config: CurveConfig) -> Study:
    """Return the study of a curve; raises ConfigError where the stores cannot tell two amounts apart."""
    pool = open_pool(config.training, 0.0)
    most, amounts = int(pool.most("episodes")), sorted(set(config.amounts))
    if amounts[-1] > most:
        raise ConfigError(
            f"curve.amounts: {amounts[-1]} episodes a robot exceed the {most} that exist; collect more "
            f"episodes or give {usable_amounts(config)}"
        )
    assert config.training.steps is not None
    return Study(
        recipe="curve",
        training=config.training,
        sizes=(describe_size(config.training, config.training.model),),
        amounts=tuple(StudyAmount(amount=amount, steps=config.training.steps) for amount in amounts),
        num_seeds=config.num_seeds,
        validation_fraction=0.0,
        offline=config.offline,
        episodes_hash=pool.hashes(),
    )


def usable_amounts(config: CurveConfig) -> tuple[int, ...]:
    """Return the amounts that every robot has; the whole stands for those beyond it."""
    most = int(open_pool(config.training, 0.0).most("episodes"))
    return tuple(sorted({min(amount, most) for amount in config.amounts}))


def run_curve(config: CurveConfig, out: Path, on_run: Notice | None = None) -> Path:
    """Execute every run that the study in `out` lacks, planning it first where there is none; return `out`.

    `on_run(done, total)` is called as runs finish, and once at the start.

    Raises:
        ConfigError: amounts beyond what is there, another study in `out`, or a run that failed.
        StoreError: a store is damaged.
    """
    study = curve_study(config)
    if not (out / "study.json").exists():
        save_study(study, out, {})
    elif load_study(out) != study:
        raise ConfigError(f"{out}: contains a study with other settings; give another folder, or delete it")
    state = run_study(out, workers=config.workers, progress=False, on_run=on_run)
    if state.failures:
        first = state.failures[0]
        raise ConfigError(f"{out}: {len(state.failures)} runs failed; {first.run}: {first.reason}")
    return out


def fit_curve(out: Path, law: CurveLaw = "power") -> dict[str, Json]:
    """Fit a law to every robot of a study of one size and to all together; return the content of `law.json`.

    Raises:
        ConfigError: too few amounts of data, or a value that is not positive and finite.
        UnknownNameError: no such law.
    """
    rows = read_rows(out)
    robots = sorted({str(row["robot"]) for row in rows}, key=lambda name: (name != ALL, name))
    points: list[Json] = [{key: row[key] for key in ("robot", "run", "data", "hours", "error")} for row in rows]
    fits: dict[str, Json] = {robot: _fitted(out / "runs.csv", robot, law) for robot in robots}
    return {"axis": "training episodes a robot", "points": points, "fits": fits}


def _fitted(path: Path, robot: str, law: CurveLaw) -> dict[str, Json]:
    table = read_runs(path, data="data", loss="error" if robot == ALL else f"error_{robot}")
    amounts = np.unique(table.data)
    if len(amounts) < MIN_AMOUNTS:
        raise ConfigError(f"{path}: expected runs at {MIN_AMOUNTS} or more amounts of data, got {len(amounts)}")
    seeds = len(table) / len(amounts)
    table = replace(table, warnings=(SHARED_SUBSETS, *([ONE_SEED] if seeds < 2 else ())))
    record = fit_law(table, law, draws=DRAWS)
    return record.to_dict() | {"holdout": _check(record), "band": _band(record)}


def _check(record: FitRecord) -> dict[str, Json] | None:
    """Return the largest amount beside its prediction from the others, by the geometric mean over seeds."""
    held = record.holdout
    if held is None:
        return None
    predicted, observed = (float(np.exp(np.mean(np.log(values)))) for values in (held.predicted, held.observed))
    return {
        "data": float(record.estimate.table.data.max()),
        "predicted": predicted,
        "observed": observed,
        "signed_error": predicted / observed - 1,
        "coverage": held.coverage,
    }


def _band(record: FitRecord) -> dict[str, Json]:
    """Return the law with its 95% band over redrawn runs, from the least data to twice the most."""
    data = record.estimate.table.data
    grid = np.geomspace(data.min(), 2 * data.max(), 25)
    low, high = record.estimate.band(grid)
    error = np.exp(record.estimate.log_error(grid))
    return {"data": grid.tolist(), "error": error.tolist(), "low": low.tolist(), "high": high.tolist()}
