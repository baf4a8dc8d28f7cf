"""One optimizer step: gradients of this process's microbatches, averaged over all microbatches, then the update."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from counterpoint.core.batch import Batch
from counterpoint.core.errors import TrainingError
from counterpoint.core.seeding import stable_hash
from counterpoint.model.tensors import to_tensors
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World
from counterpoint.train.meter import count_tokens
from counterpoint.train.speed import StepReport
from counterpoint.train.state import TrainState


@dataclass(kw_only=True)
class _Totals:
    """Sums over this process's microbatches."""

    loss: float = 0.0
    tokens: int = 0
    experience_s: float = 0.0
    wait_s: float = 0.0


def train_step(
    state: TrainState, config: TrainConfig, world: World, batches: Iterator[Batch], factor: float
) -> StepReport:
    """Make one step of `state` at `factor` times the peak learning rates.

    `batches` yields this process's microbatches, `World.own_microbatches` of them a step.

    Raises:
        TrainingError: loss or gradient is not finite; the weights are unchanged.
    """
    totals, by_embodiment = _Totals(), dict[str, list[float]]()
    state.optimizer.zero_grad()
    for piece in world.own_microbatches(config.num_microbatches):
        asked = time.monotonic()
        batch = next(batches)
        totals.wait_s += time.monotonic() - asked
        noise = torch.Generator(world.device)
        noise.manual_seed(stable_hash(config.seed, "noise", state.step, piece, bits=63))
        loss = state.model.loss(to_tensors(batch, world.device), noise)
        torch.autograd.backward(loss.total / config.num_microbatches)
        totals.loss += float(loss.total.detach()) / config.num_microbatches
        totals.tokens += count_tokens(batch, config.model.knots_per_token)
        totals.experience_s += batch.experience_s
        for robot, value in loss.by_embodiment.items():
            by_embodiment.setdefault(robot, []).append(float(value))
    mean, tokens, experience_s = world.sum([totals.loss, totals.tokens, totals.experience_s])
    _check_finite("loss", mean, state, by_embodiment)
    world.sum_gradients(list(state.model.parameters()))
    norm = state.optimizer.clip()
    _check_finite("norm of the gradient", norm, state, by_embodiment)
    state.optimizer.step(factor)
    state.average.update(state.step)
    state.step += 1
    return StepReport(
        loss=mean,
        by_embodiment={robot: sum(values) / len(values) for robot, values in by_embodiment.items()},
        gradient_norm=norm,
        rate_factor=factor,
        tokens=int(tokens),
        experience_s=experience_s,
        wait_s=totals.wait_s,
    )


def _check_finite(what: str, value: float, state: TrainState, by_embodiment: dict[str, list[float]]) -> None:
    if not math.isfinite(value):
        robots = ", ".join(f"{robot} {values[-1]:.3g}" for robot, values in by_embodiment.items())
        raise TrainingError(
            f"step {state.step}: the {what} is {value} (loss by robot: {robots}). The last checkpoint is kept. Halve "
            "optimizer.muon_learning_rate and optimizer.learning_rate, or check the data: counterpoint check STORE"
        )
