"""One run of a study, wherever it is executed: train, judge, leave `result.json` in the run's folder.

A run that was cut off goes on from its newest checkpoint and gives the same bits as one that was not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import torch

from counterpoint.catalog.episode_table import UNKNOWN
from counterpoint.core.errors import CheckpointError, ConfigError
from counterpoint.core.records import Json
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.evaluate.offline import OfflineConfig, OfflineResult, evaluate_robot, gather_decisions
from counterpoint.policy.checkpoint import list_checkpoints
from counterpoint.policy.model_policy import ModelPolicy
from counterpoint.scaling.runs.study_table import ALL
from counterpoint.scaling.study.definition import Study, load_study, write_whole
from counterpoint.scaling.study.subset import (
    Pool,
    References,
    check_pool,
    chosen_sources,
    open_pool,
    take,
)
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World
from counterpoint.train.episodes import open_batches, open_data
from counterpoint.train.explain import run_cost
from counterpoint.train.trainer import TrainResult, train

DIVERSITY = {"environments": "environment", "sites": "site", "tasks": "task", "instructions": "instruction"}
"""Columns of the run table that count different values of a store's column."""


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """What is handed to an engine; plain values."""

    study: str
    """Folder of the study."""
    name: str
    kind: Literal["runs", "search", "checks"]
    """Runs of the search are judged on the validation episodes, those of the sweep and longer ones on the evaluation
    episodes."""
    size: int
    """Place in `Study.sizes`."""
    amount: float
    steps: int
    seed: int
    multiple: float
    """Factor on the recipe's learning rates."""
    held_out: bool = False

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return Path(self.study) / self.kind / self.name


def execute(task: RunTask) -> list[dict[str, Json]]:
    """Train and judge; return one row a robot and one for all together.

    Raises:
        CounterpointError: whatever training or judging raises; ConfigError where the stores have changed.
    """
    study = load_study(Path(task.study))
    pool = open_pool(study.training, study.validation_fraction)
    check_pool(study, pool)
    chosen = take(pool, task.amount, study.unit, task.seed if study.subsets == "by_seed" else None)
    sources = chosen_sources(pool, chosen)
    config = run_config(study, task)
    result = _train(config, sources)
    if not result.is_finished:
        raise KeyboardInterrupt
    policy = ModelPolicy(result.checkpoint, device=train_device(config))
    held = pool.validation if task.kind == "search" else pool.evaluation
    judged = judge(policy, pool, held, study.offline)
    data = open_data(config, sources, policy.processor)
    with open_batches(config, data, World(device=torch.device("cpu")), 0) as batches:
        flops = run_cost(config, next(batches)).flops
    rows = _rows(study, task, pool, chosen, judged, result, flops)
    write_whole(task.folder / "result.json", {"rows": cast(list[Json], rows)})
    if not study.keep_checkpoints:
        for checkpoint in list_checkpoints(config.out):
            shutil.rmtree(checkpoint)
    return rows


def finished_rows(task: RunTask) -> list[dict[str, Json]] | None:
    """Return the rows of a run that has been judged; None where it has not."""
    path = task.folder / "result.json"
    if not path.is_file():
        return None
    return cast("list[dict[str, Json]]", json.loads(path.read_bytes())["rows"])


def run_config(study: Study, task: RunTask) -> TrainConfig:
    """Return the training configuration of a run; its episodes come from the sources that it is given."""
    base = study.training
    rates = replace(
        base.optimizer,
        muon_learning_rate=base.optimizer.muon_learning_rate * task.multiple,
        learning_rate=base.optimizer.learning_rate * task.multiple,
    )
    return replace(
        base,
        out=task.folder,
        data=replace(base.data, holdout_fraction=0.0, limit_episodes=None, limit_hours=None),
        model=study.sizes[task.size].model,
        optimizer=rates,
        steps=task.steps,
        max_seconds=None,
        seed=task.seed,
        save_every=max(200, task.steps // 4),
        keep=1,
        tensorboard=False,
    )


def judge(policy: ModelPolicy, pool: Pool, held: References, offline: OfflineConfig) -> list[OfflineResult]:
    """Judge a policy on episodes of the pool, one result a robot in order of name."""
    return [
        evaluate_robot(policy, gather_decisions(pool.sources, found, policy.horizon_s, offline), offline, robot)
        for robot, found in sorted(held.items())
    ]


def train_device(config: TrainConfig) -> torch.device:
    """Return where a run computes."""
    has_cuda = torch.cuda.is_available()
    return torch.device("cuda" if config.device == "cuda" or (config.device == "auto" and has_cuda) else "cpu")


def _train(config: TrainConfig, sources: Sequence[EpisodeSource]) -> TrainResult:
    """Train, going on from a checkpoint that can be gone on from."""
    try:
        return train(config, resume=True, sources=sources, progress=False)
    except (CheckpointError, ConfigError):
        if not list_checkpoints(config.out):
            raise
        shutil.rmtree(config.out)  # left by something else, or damaged: the run starts again
        return train(config, sources=sources, progress=False)


def _rows(
    study: Study,
    task: RunTask,
    pool: Pool,
    chosen: References,
    judged: Sequence[OfflineResult],
    result: TrainResult,
    step_flops: float,
) -> list[dict[str, Json]]:
    size = study.sizes[task.size]
    shared: dict[str, Json] = {
        "run": task.name,
        "size": size.size,
        "sensing_parameters": size.sensing_parameters,
        "acting_parameters": size.acting_parameters,
        "total_parameters": size.total_parameters,
        "amount": task.amount,
        "seed": task.seed,
        "steps": result.step,
        "flops": result.step * step_flops,
        "train_seconds": round(result.elapsed_s, 3),
        "learning_rate": study.training.optimizer.muon_learning_rate * task.multiple,
        "held_out": task.held_out,
    }
    own = [
        {
            **shared,
            "robot": one.robot,
            "robots": 1,
            **_volume(pool, {one.robot: chosen[one.robot]}),
            "error": one.next_action_mse,
            "error_low": one.mse_ci95.low,
            "error_high": one.mse_ci95.high,
            "reverse_kl": one.reverse_kl,
        }
        for one in judged
    ]
    together: dict[str, Json] = {
        **shared,
        "robot": ALL,
        "robots": len(judged),
        **_volume(pool, chosen),
        "error": float(np.exp(np.mean([np.log(one.next_action_mse) for one in judged]))),
        "reverse_kl": float(np.mean([one.reverse_kl for one in judged])),
    }
    return [*own, together]


def _volume(pool: Pool, chosen: References) -> dict[str, Json]:
    """Return how much the chosen episodes are, and how diverse: `data` is episodes a robot, the rest sums."""
    references = [one for found in chosen.values() for one in found]
    facts = pa.concat_tables([source.flat() for source in chosen_sources(pool, chosen)])
    diversity: dict[str, Json] = {}
    for name, column in DIVERSITY.items():
        values = set(facts[column].unique().to_pylist()) - {"", None, UNKNOWN}
        diversity[name] = len(values) or None
    return {
        "data": len(references) / len(chosen),
        "hours": sum(one.duration_s for one in references) / 3600,
        "frames": sum(len(pool.sources[one.source].low(one.episode_id)["action"]) for one in references),
        **diversity,
    }
