"""The training loop, top to bottom.

    episodes -> Loader -> Batch -> model.loss -> gradients -> MuonAdamW -> WeightAverage -> checkpoint

Order of data and noise are functions of (seed, step, slice), so a run that was stopped and resumed
gives the very same bits as one that was not, if `steps` bounds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from counterpoint.core.batch import Batch
from counterpoint.core.config import to_dict
from counterpoint.core.records import Json
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.policy.checkpoint import checkpoint_path
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World, join_world
from counterpoint.train.episodes import open_batches, open_data
from counterpoint.train.interrupt import StopRequest, catch_stop
from counterpoint.train.meter import Meter
from counterpoint.train.run import Run, find_saved, restore_run, save_run, start_run
from counterpoint.train.schedule import rate_factor
from counterpoint.train.step import train_step

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run ended."""

    checkpoint: Path
    """Newest checkpoint."""
    step: int
    elapsed_s: float
    is_finished: bool
    """False where the run was asked to stop; then `--resume` goes on."""
    metrics: dict[str, Json]
    """Last metric record."""


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    sources: Sequence[EpisodeSource] | None = None,
    progress: bool = True,
) -> TrainResult:
    """Train as `config` says, writing everything below `config.out`; `sources` replaces its stores.

    Raises:
        ConfigError: settings that do not fit the data, the machine, or the run to resume.
        TrainingError: `config.out` holds another run, or the loss stopped being a finite number.
        CheckpointError: the checkpoint to resume is damaged, or a new one cannot be written.
    """
    with join_world(config.device) as world, catch_stop() as stop:
        # 1. Machine
        if config.threads:
            torch.set_num_threads(config.threads)

        # 2. Data: episodes, and how they become batches
        saved = find_saved(config, resume=resume)
        data = open_data(config, sources, None if saved is None else saved.processor)

        # 3. Model, optimizer, average: new, or as they were
        run = start_run(config, world)
        if saved is not None:
            restore_run(run, config, saved)
        meter = Meter(config, step=run.step, elapsed_s=run.elapsed_s, speaks=world.rank == 0, progress=progress)
        meter.write_config(to_dict(config), data.describe())
        if saved is not None:
            meter.note(f"resumed at step {run.step}", step=run.step)
            if saved.training.get("data") != data.describe():
                meter.note("the stores hold other episodes than before: not the same bits as an unbroken run")

        # 4. Loop
        def save() -> None:
            if world.rank == 0 and not checkpoint_path(config.out, run.step).exists():
                save_run(run, config, data, meter.last)
            world.wait()

        try:
            with open_batches(config, data, world, run.step) as batches:
                is_finished = _loop(config, world, run, batches, meter, stop, save)
        finally:
            meter.flush(run.step, run.elapsed_s)
            meter.close()

        # 5. Last checkpoint
        save()
        path = checkpoint_path(config.out, run.step)
        if not is_finished:
            log.warning("stopped at step %d; saved %s; go on with the same command and --resume", run.step, path)
    return TrainResult(
        checkpoint=path, step=run.step, elapsed_s=run.elapsed_s, is_finished=is_finished, metrics=meter.last
    )


def _loop(
    config: TrainConfig,
    world: World,
    run: Run,
    batches: Iterator[Batch],
    meter: Meter,
    stop: StopRequest,
    save: Callable[[], None],
) -> bool:
    """Step until the run is done (True) or somebody asked to stop (False)."""
    begun = time.monotonic() - run.elapsed_s
    while (fraction := fraction_done(config, run)) < 1:
        report = train_step(run, config, world, batches, rate_factor(config.schedule, fraction))
        own_elapsed = time.monotonic() - begun if world.rank == 0 else 0.0
        run.elapsed_s, requests = world.sum([own_elapsed, float(bool(stop))])  # every process decides alike
        meter.update(run.step, run.elapsed_s, report)
        if requests:
            return fraction_done(config, run) >= 1
        if run.step % config.save_every == 0:
            save()
    return True


def fraction_done(config: TrainConfig, run: Run) -> float:
    """Return how much of the run is done: of its steps, or of its seconds."""
    if config.steps is not None:
        return run.step / config.steps
    assert config.max_seconds is not None
    return run.elapsed_s / config.max_seconds
