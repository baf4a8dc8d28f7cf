"""The state of a run: model, optimizer, weight average, progress; how it is saved and restored.

Random numbers are not part of it, because they are functions of seed, step and microbatch.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import cast

import torch

from counterpoint.core.config import to_dict
from counterpoint.core.errors import ConfigError, TrainingError
from counterpoint.core.records import Json
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.policy.checkpoint import (
    Checkpoint,
    ResumeState,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_resume_state,
    load_weights,
    model_tensors,
    save_checkpoint,
)
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World
from counterpoint.train.ema import WeightAverage
from counterpoint.train.episodes import TrainingData
from counterpoint.train.optimizer import MuonAdamW, build_optimizer

MAY_CHANGE = (
    *("out", "steps", "max_seconds", "device", "threads"),
    *("loader_workers", "log_every", "save_every", "keep", "tensorboard"),
)
"""Settings that may change when a run is resumed; changing any other makes it a different run."""


@dataclass(kw_only=True)
class TrainState:
    """Everything that changes while training."""

    model: HarmonicModel
    optimizer: MuonAdamW
    average: WeightAverage
    step: int = 0
    """Optimizer steps done."""
    elapsed_s: float = 0.0
    """Seconds spent in the loop, over all sessions."""

    def weights(self) -> dict[str, torch.Tensor]:
        """Return averaged parameters and the model's buffers, by name."""
        return {**model_tensors(self.model), **self.average.weights}


def initial_state(config: TrainConfig, world: World) -> TrainState:
    """Return a run at step 0; initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = HarmonicModel(config.model)
    model.to(world.device)
    world.same_weights([*model.parameters(), *model.buffers()])
    return TrainState(
        model=model,
        optimizer=build_optimizer(model, model.parameter_groups(), config.optimizer),
        average=WeightAverage(model, config.ema_decay),
    )


def save_state(state: TrainState, config: TrainConfig, data: TrainingData, metrics: dict[str, Json]) -> None:
    """Write a checkpoint of the current step and remove all but the newest `config.keep`."""
    training: dict[str, Json] = {
        "step": state.step,
        "elapsed_s": state.elapsed_s,
        "config": to_dict(config),
        "data": data.describe(),
        "metrics": metrics,
    }
    checkpoint = Checkpoint(
        model=config.model,
        weights=state.weights(),
        processor=data.processor,
        embodiments=data.embodiments,
        training=training,
    )
    resume = ResumeState(weights=dict(state.model.named_parameters()), optimizer=state.optimizer.state_dict())
    save_checkpoint(checkpoint_path(config.out, state.step), checkpoint, resume)
    for old in list_checkpoints(config.out)[: -config.keep]:
        shutil.rmtree(old)


def find_saved(config: TrainConfig, *, resume: bool) -> Checkpoint | None:
    """Return the newest checkpoint of `config.out` to resume from; None for a new run.

    Raises:
        TrainingError: the folder holds a run but `resume` is False.
        ConfigError: the saved run has other settings than `config`.
    """
    if not list_checkpoints(config.out):
        return None
    if not resume:
        raise TrainingError(
            f"{config.out}: already holds a run ({list_checkpoints(config.out)[-1].name}). Continue it with --resume, "
            "or choose another --out"
        )
    saved = load_checkpoint(config.out)
    before, now = _flat(saved.training.get("config"), ""), _flat(to_dict(config), "")
    for path in sorted(before.keys() | now.keys()):
        if path.split(".")[0] not in MAY_CHANGE and before.get(path) != now.get(path):
            raise ConfigError(
                f"{path}: the run in {config.out} was started with {before.get(path)!r}, now it is {now.get(path)!r}. "
                "Resume with the same setting, or start a new run with another --out"
            )
    return saved


def restore_state(state: TrainState, config: TrainConfig, saved: Checkpoint) -> None:
    """Restore `state` from the checkpoint `saved` of `config.out`; raises CheckpointError."""
    resume = load_resume_state(config.out)
    load_weights(state.model, {**saved.weights, **resume.weights}, "training_state/weights.safetensors")
    state.average.load(saved.weights)
    state.optimizer.load_state_dict(resume.optimizer)
    state.step = int(cast(int, saved.training["step"]))
    state.elapsed_s = float(cast(float, saved.training["elapsed_s"]))


def _flat(value: Json, path: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Json] = {} if value else {path: None}
    for key, item in value.items():
        flat |= _flat(item, f"{path}.{key}" if path else key)
    return flat
