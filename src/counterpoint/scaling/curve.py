"""Error against data, measured: train alike on nested amounts of data, judge on the same held-out episodes.

    amounts x seeds --train (same budget)--> checkpoint --evaluate_offline--> points.jsonl --fit--> law.json

Smaller amounts are subsets of larger ones. Runs that are already recorded are not repeated, so an
interrupted study goes on where it stopped. One line a run and robot, and one of robot `all`, whose
error is the geometric mean over robots: each robot weighs alike in a law that is fitted on logs.

Runs of one amount differ in their seed, not in their episodes: intervals hold the scatter of training, not that
of which episodes were collected.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, RunRecord, read_records
from counterpoint.data.selection import select_episodes
from counterpoint.evaluate.offline import OfflineConfig, OfflineResult, evaluate_offline
from counterpoint.policy.model_policy import ModelPolicy
from counterpoint.scaling.fit import MIN_AMOUNTS, Fit, Point, fit
from counterpoint.scaling.laws import LawName
from counterpoint.train.config import TrainConfig
from counterpoint.train.episodes import open_data, open_sources
from counterpoint.train.trainer import train

ALL = "all"
"""Stands for all robots together."""
SHARED_SUBSETS = (
    "Runs share nested subsets of the episodes whatever their seed: intervals leave out the variance of which "
    "episodes were drawn."
)
"""Warning that goes with every law of a study."""


@dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """A study of one model over amounts of data."""

    training: TrainConfig
    """What each run trains; `out`, `seed` and `data.limit_episodes` are set by the study."""
    amounts: tuple[int, ...]
    """Episodes a robot, increasing; at least four different ones for a law."""
    num_seeds: int = 1
    """Runs at each amount."""
    offline: OfflineConfig = field(default_factory=lambda: OfflineConfig(samples=1, max_decisions=200))
    workers: int = 1
    """Runs at the same time; give each its share of threads in `training.threads`."""
    law: LawName = "power"

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


@dataclass(frozen=True, kw_only=True)
class CurveRun:
    """One run of the study."""

    name: str
    amount: int
    seed: int


def plan_runs(config: CurveConfig) -> list[CurveRun]:
    """Return the runs, largest amounts first: they take longest where time is counted in steps."""
    return [
        CurveRun(name=f"episodes-{amount:05d}-seed-{seed}", amount=amount, seed=config.training.seed + seed)
        for amount in sorted(set(config.amounts), reverse=True)
        for seed in range(config.num_seeds)
    ]


def run_curve(config: CurveConfig, out: Path, on_run: Callable[[int, int], None] | None = None) -> Path:
    """Train and judge every run that `out/points.jsonl` lacks; return that file.

    `on_run(done, total)` is called as runs finish, and once at the start.

    Raises:
        ConfigError: the stores hold too few episodes to tell two amounts apart.
        StoreError: a store is damaged.
    """
    path = out / "points.jsonl"
    recorded = {str(row["run"]) for row in read_records(path, "result")} if path.is_file() else set()
    runs = plan_runs(config)
    missing = [run for run in runs if run.name not in recorded]
    if missing and len(usable := distinct_amounts(config)) < len(set(config.amounts)):
        raise ConfigError(
            f"curve.amounts: those above {usable[-1]} would train on the same episodes, there are no more; collect "
            f"more episodes or give {usable}"
        )
    record = RunRecord(path)
    done = len(runs) - len(missing)

    def note(rows: list[dict[str, Json]]) -> None:
        nonlocal done
        done += 1
        for row in rows:
            record.write("result", **row)
        if on_run is not None:
            on_run(done, len(runs))

    try:
        if on_run is not None:
            on_run(done, len(runs))
        if config.workers == 1:
            for run in missing:
                note(do_run(config, run, out))
        elif missing:
            with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
                for future in as_completed([pool.submit(do_run, config, run, out) for run in missing]):
                    note(future.result())
    finally:
        record.close()
    return path


def distinct_amounts(config: CurveConfig) -> tuple[int, ...]:
    """Return the amounts that train on different episodes: of those that take all there are, only the least."""
    training = config.training
    whole = replace(training.data.selection(), limit_episodes=None)
    available = max(len(found) for found in select_episodes(open_sources(training), whole).values())
    amounts = sorted(set(config.amounts))
    below = sum(amount < available for amount in amounts)
    return tuple(amounts[: below + 1])


def do_run(config: CurveConfig, run: CurveRun, out: Path) -> list[dict[str, Json]]:
    """Train one run from scratch and judge it; return its rows."""
    folder = out / run.name
    shutil.rmtree(folder, ignore_errors=True)  # a run that was cut off starts again, so that all had the same budget
    training = replace(
        config.training, out=folder, seed=run.seed, data=replace(config.training.data, limit_episodes=run.amount)
    )
    result = train(training, progress=False)
    policy = ModelPolicy(result.checkpoint)
    held_out = replace(training.data.selection(), split="test", limit_episodes=None, limit_hours=None)
    judged = evaluate_offline(policy, open_sources(training), held_out, config.offline)
    used = open_data(training, processor=policy.processor)
    hours, episodes = used.hours, {robot: len(found) for robot, found in used.episodes.items()}
    shared: dict[str, Json] = {
        "run": run.name,
        "amount": run.amount,
        "seed": run.seed,
        "steps": result.step,
        "train_seconds": round(result.elapsed_s, 3),
    }
    rows = [_row(shared, one, episodes[one.robot], hours[one.robot]) for one in judged]
    pooled: dict[str, Json] = {
        "robot": ALL,
        "data": float(np.mean(list(episodes.values()))),
        "hours": sum(hours.values()),
        "error": float(np.exp(np.mean([np.log(one.next_action_mse) for one in judged]))),
    }
    return [*rows, {**shared, **pooled}]


def _row(shared: dict[str, Json], judged: OfflineResult, episodes: int, hours: float) -> dict[str, Json]:
    own: dict[str, Json] = {
        "robot": judged.robot,
        "data": float(episodes),
        "hours": hours,
        "error": judged.next_action_mse,
        "ci95": [*judged.mse_ci95.as_list()],
    }
    return {**shared, **own}


def fit_curve(path: Path, law: LawName = "power") -> dict[str, Json]:
    """Fit a law to every robot of `points.jsonl` and to all together; return the content of `law.json`.

    Raises:
        CounterpointError: too few amounts of data.
    """
    rows = read_records(path, "result")
    robots = sorted({str(row["robot"]) for row in rows}, key=lambda name: (name != ALL, name))
    fits: dict[str, Json] = {}
    for robot in robots:
        found = _fit_robot([row for row in rows if row["robot"] == robot], law)
        fits[robot] = replace(found, refusals=(*found.refusals, SHARED_SUBSETS)).to_dict()
    points: list[Json] = [{key: row[key] for key in ("robot", "run", "data", "hours", "error")} for row in rows]
    return {"axis": "training episodes a robot", "points": points, "fits": fits}


def _fit_robot(rows: list[dict[str, Json]], law: LawName) -> Fit:
    points = [Point(data=float(str(row["data"])), error=float(str(row["error"])), run=str(row["run"])) for row in rows]
    return fit(points, law)
