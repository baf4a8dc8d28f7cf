"""The training loop, top to bottom.

    episodes -> Loader -> Batch -> model.loss -> gradients -> MuonAdamW -> WeightAverage -> checkpoint

The order of data and the noise are functions of (seed, step, microbatch). A run bounded by `steps` therefore
gives bitwise equal weights whether or not it was interrupted and resumed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from counterpoint.core.batch import Batch
from counterpoint.core.config import to_dict
from counterpoint.core.records import Json
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.model.sizes import num_parameters
from counterpoint.policy.checkpoint import Checkpoint, checkpoint_path
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World, join_world
from counterpoint.train.episodes import TrainingData, open_batches, open_data
from counterpoint.train.interrupt import StopRequest, catch_stop
from counterpoint.train.meter import Meter
from counterpoint.train.schedule import rate_factor
from counterpoint.train.speed import introduction
from counterpoint.train.state import TrainState, find_saved, initial_state, restore_state, save_state
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
    """False if the run was asked to stop; `resume=True` continues it."""
    metrics: dict[str, Json]
    """Last metric record."""


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    sources: Sequence[EpisodeSource] | None = None,
    progress: bool = True,
    on_metrics: Callable[[Mapping[str, Json]], None] | None = None,
) -> TrainResult:
    """Train as `config` says and write everything below `config.out`.

    `sources` replaces the configuration's stores; the first process calls `on_metrics` with each metric record.

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
        data = open_data(config, sources, saved.processor if saved else None, progress=progress and world.rank == 0)

        # 3. Model, optimizer, average: new, or restored
        state = initial_state(config, world)
        if saved is not None:
            restore_state(state, config, saved)
        start = (state.step, state.elapsed_s)
        hours, speaks = sum(data.hours.values()), world.rank == 0
        meter = Meter(config, start=start, hours=hours, speaks=speaks, progress=progress, on_metrics=on_metrics)
        meter.write_config(to_dict(config), data.describe())
        meter.note(introduction(config, data.hours, num_parameters(state.model), world.device))
        _note_resumed(meter, state, data, saved)

        # 4. Loop
        def save() -> None:
            if world.rank == 0 and not checkpoint_path(config.out, state.step).exists():
                save_state(state, config, data, meter.last)
            world.wait()

        try:
            with open_batches(config, data, world, state.step) as batches:
                is_finished = _loop(config, world, state, batches, meter, stop, save)
        finally:
            meter.conclude(state.step, state.elapsed_s)
            meter.close()

        # 5. Last checkpoint
        save()
        path = checkpoint_path(config.out, state.step)
        if not is_finished:
            log.warning(
                "Stopped at step %d and saved %s. To continue, add --resume to the same command.", state.step, path
            )
    return TrainResult(
        checkpoint=path, step=state.step, elapsed_s=state.elapsed_s, is_finished=is_finished, metrics=meter.last
    )


def _note_resumed(meter: Meter, state: TrainState, data: TrainingData, saved: Checkpoint | None) -> None:
    if saved is None:
        return
    meter.note(f"Resumed at step {state.step:,}.", step=state.step)
    if saved.training.get("data") != data.describe():
        meter.note("The stores hold other episodes than before, so this run will differ from an uninterrupted one.")


def _loop(
    config: TrainConfig,
    world: World,
    state: TrainState,
    batches: Iterator[Batch],
    meter: Meter,
    stop: StopRequest,
    save: Callable[[], None],
) -> bool:
    """Step until the run is done (return True) or was asked to stop (return False)."""
    begun = time.monotonic() - state.elapsed_s
    while (fraction := fraction_done(config, state)) < 1:
        report = train_step(state, config, world, batches, rate_factor(config.schedule, fraction))
        own_elapsed = time.monotonic() - begun if world.rank == 0 else 0.0
        state.elapsed_s, requests = world.sum([own_elapsed, float(bool(stop))])  # every process decides the same
        meter.update(state.step, state.elapsed_s, report)
        if requests:
            return fraction_done(config, state) >= 1
        if state.step % config.save_every == 0:
            save()
    return True


def fraction_done(config: TrainConfig, state: TrainState) -> float:
    """Return how much of the run is done: of its steps, or of its seconds."""
    if config.steps is not None:
        return state.step / config.steps
    assert config.max_seconds is not None
    return state.elapsed_s / config.max_seconds
