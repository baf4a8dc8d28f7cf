"""What a step of each size takes on this machine, measured: some steps, and one judging, of an untrained model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from counterpoint.core.batch import Batch
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.sizes import block_parameters, num_parameters
from counterpoint.policy.checkpoint import Checkpoint
from counterpoint.policy.model_policy import ModelPolicy
from counterpoint.scaling.study.definition import StudySize
from counterpoint.scaling.study.single_run import judge, train_device
from counterpoint.scaling.study.subset import Pool, chosen_sources
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World
from counterpoint.train.episodes import TrainingData, open_batches, open_data
from counterpoint.train.explain import run_cost
from counterpoint.train.state import initial_state
from counterpoint.train.step import train_step

WARM_UP = 2
LEAST_STEPS, MOST_STEPS, PATIENCE_S = 3, 12, 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Data on which sizes are timed."""

    pool: Pool
    data: TrainingData
    batch: Batch
    """The first batch of the largest amount."""


def open_bench(training: TrainConfig, pool: Pool) -> Bench:
    """Open all training episodes of a pool."""
    sources = chosen_sources(pool, pool.training)
    data = open_data(_whole(training), sources)
    with open_batches(_whole(training), data, World(device=torch.device("cpu")), 0) as batches:
        batch = next(batches)
    return Bench(pool=pool, data=data, batch=batch)


def describe_size(training: TrainConfig, model: HarmonicConfig, step_flops: float = 0.0) -> StudySize:
    """Count the parameters of a size, without timing it."""
    with torch.device("meta"):
        built = HarmonicModel(model)
    hidden = built.parameter_groups()["hidden"]
    own = {id(parameter) for parameter in hidden}
    sensing = sum(p.numel() for p in built.sensing.parameters() if id(p) in own)
    size = block_parameters(model)
    return StudySize(
        model=model,
        size=size,
        sensing_parameters=sensing,
        acting_parameters=size - sensing,
        total_parameters=num_parameters(built),
        step_flops=step_flops * training.num_microbatches,
    )


def measure(training: TrainConfig, model: HarmonicConfig, bench: Bench, offline: OfflineConfig) -> StudySize:
    """Count and time a size: the median of some steps, data included, and judging with few decisions scaled up."""
    config = replace(_whole(training), model=model)
    if config.threads:
        torch.set_num_threads(config.threads)
    world = World(device=train_device(config))
    state = initial_state(config, world)
    seconds: list[float] = []
    with open_batches(config, bench.data, world, 0) as batches:
        begun, clock = time.monotonic(), _clock(config, world)
        while len(seconds) < WARM_UP + LEAST_STEPS or (
            len(seconds) < WARM_UP + MOST_STEPS and time.monotonic() - begun < PATIENCE_S
        ):
            start = clock()
            train_step(state, config, world, batches, 1.0)
            if world.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(clock() - start)
    cost = run_cost(config, bench.batch)
    return replace(
        describe_size(config, model),
        step_s=float(np.median(seconds[WARM_UP:])),
        judge_s=_judge_s(config, bench, offline, world),
        step_flops=cost.flops,
    )


def _judge_s(config: TrainConfig, bench: Bench, offline: OfflineConfig, world: World) -> float:
    state = initial_state(config, world)
    checkpoint = Checkpoint(
        model=config.model,
        weights=state.weights(),
        processor=bench.data.processor,
        embodiments=bench.data.embodiments,
        training={},
    )
    few = replace(offline, max_decisions=max(1, offline.max_decisions // 4))
    clock = _clock(config, world)
    start = clock()
    judge(ModelPolicy(checkpoint, device=world.device), bench.pool, bench.pool.evaluation, few)
    return (clock() - start) * offline.max_decisions / few.max_decisions


def _clock(config: TrainConfig, world: World) -> Callable[[], float]:
    """Return what to time with: on one thread processor time, which others on the machine hardly change."""
    return time.process_time if world.device.type == "cpu" and config.threads == 1 else time.monotonic


def _whole(training: TrainConfig) -> TrainConfig:
    data = replace(training.data, holdout_fraction=0.0, limit_episodes=None, limit_hours=None)
    return replace(training, data=data, steps=1, max_seconds=None, loader_workers=0)
