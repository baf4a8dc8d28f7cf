"""What a run would do and cost, without starting it: `counterpoint train RECIPE --explain`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from counterpoint.core.batch import Batch
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.sizes import flops_per_batch, num_parameters
from counterpoint.model.tensors import to_tensors
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World
from counterpoint.train.episodes import TrainingData, open_batches, open_data
from counterpoint.train.meter import count_tokens


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """Estimates for one optimizer step; all microbatches together, memory of one process."""

    parameters: int
    """Trainable numbers of the model."""
    tokens: int
    """Sensing and acting tokens."""
    flops: float
    """Floating point operations of matrix products, forward and backward."""
    experience_s: float
    """Seconds of robot time that the windows span."""
    state_bytes: int
    """Weights, gradients, average and optimizer state."""
    activation_bytes: int
    """Activations kept for the backward pass of one microbatch, estimated."""


def count_parameters(config: HarmonicConfig) -> int:
    """Return the number of parameters without allocating them."""
    with torch.device("meta"):
        return num_parameters(HarmonicModel(config))


def run_cost(config: TrainConfig, batch: Batch) -> RunCost:
    """Estimate the cost of a step whose microbatches look like `batch`."""
    with torch.device("meta"):
        model = HarmonicModel(config.model)
    groups = {name: sum(p.numel() for p in group) for name, group in model.parameter_groups().items()}
    copies = 4 * groups["hidden"] + 5 * groups["other"]  # weight, gradient, average, one or two moments
    tokens = count_tokens(batch, config.model.knots_per_token)
    return RunCost(
        parameters=num_parameters(model),
        tokens=tokens * config.num_microbatches,
        flops=flops_per_batch(config.model, to_tensors(batch)) * config.num_microbatches,
        experience_s=batch.experience_s * config.num_microbatches,
        state_bytes=4 * copies,
        activation_bytes=_activation_bytes(config.model, batch),
    )


def _activation_bytes(model: HarmonicConfig, batch: Batch) -> int:
    """Estimate what blocks keep: inputs of matrices, norms, attention and gates of each token, and the mask.

    Within a third of what `saved_tensors_hooks` counted on 30k and 1.4M parameters.
    """
    windows, sensing = batch.num_windows, int(batch.capture_s.shape[1])
    acting = int(batch.decision_s.shape[1]) * len(batch.knot_s) // model.knots_per_token
    inner = model.heads * model.head_dim

    def kept(tokens: int, width: int) -> int:
        return tokens * (4 * width + 6 * inner + 2 * model.mlp_ratio * width)

    blocks = kept(sensing, model.width) + kept(acting, model.acting_width)
    mask = (sensing + acting) * (sensing + acting)
    return 4 * windows * (model.layers * blocks + 2 * mask)


def explain(config: TrainConfig, sources: Sequence[EpisodeSource] | None = None) -> str:
    """Return text that says what `train(config, sources=sources)` would read, build and cost.

    Raises:
        ConfigError, StoreError, UnknownNameError: as `train` would.
    """
    lines = [f"run folder  {config.out}", f"model       {_model(config.model)}", f"length      {_length(config)}"]
    if sources is None and not (config.data.stores or config.data.mixture):
        lines.append("data        none yet: give --data.stores PATH to see hours, tokens, operations and memory")
        return "\n".join(lines)
    data = open_data(config, sources, build_views=False)
    alone = World(device=torch.device("cpu"))
    with open_batches(replace(config, loader_workers=0), data, alone, 0) as batches:
        cost = run_cost(config, next(batches))
    lines += [f"data        {line}" for line in _data(data)]
    total = cost.flops * config.steps if config.steps is not None else None
    lines += [
        f"step        {config.batch_windows} windows, {cost.tokens} tokens, {cost.experience_s / 60:.1f} min of robot "
        f"time, {cost.flops:.3g} floating point operations",
        f"run         {total:.3g} floating point operations"
        if total is not None
        else "run         as many steps as the machine makes in that time",
        f"memory      about {(cost.state_bytes + cost.activation_bytes) / 2**20:.0f} MiB a process "
        f"({cost.state_bytes / 2**20:.0f} state, {cost.activation_bytes / 2**20:.0f} activations)",
    ]
    return "\n".join(lines)


def _model(model: HarmonicConfig) -> str:
    return (
        f"{count_parameters(model):,} parameters: {model.layers} layers, width {model.width} sensing and "
        f"{model.acting_width} acting, {model.heads} heads"
    )


def _length(config: TrainConfig) -> str:
    if config.steps is None:
        return f"{config.max_seconds:.0f} s, {config.schedule.kind} schedule over the time"
    return f"{config.steps} steps, {config.schedule.kind} schedule"


def _data(data: TrainingData) -> list[str]:
    total = sum(data.hours.values())
    rows = [
        f"{robot}: {len(references)} episodes, {data.hours[robot]:.2f} h" for robot, references in data.episodes.items()
    ]
    windows = data.windows
    if windows.has_marks:
        rows.append(
            f"left out of it: {windows.left_out_s / 3600:.2f} h that 'counterpoint check --mark' marked, or that touch "
            f"what it marked; {windows.left_out_episodes} episode(s) wholly"
        )
    return [f"{total:.2f} h of {len(data.episodes)} robot(s) for training", *rows]
