"""A run in one or several processes like those of torchrun; each process runs this file as a program."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from site_soak import free_port

from counterpoint.core.batch import Batch
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World, join_world
from counterpoint.train.episodes import open_batches, open_data
from counterpoint.train.optimizer import OptimizerConfig
from counterpoint.train.recipes import tiny
from counterpoint.train.state import TrainState, initial_state
from counterpoint.train.step import train_step
from counterpoint.train.trainer import train


def mixed_sources() -> tuple[EpisodeSource, ...]:
    """Return two robots."""
    return (synthetic_source(6, 4, 0), synthetic_source(6, 7, 1))


def one_robot() -> tuple[EpisodeSource, ...]:
    """Return episodes of one robot."""
    return (synthetic_source(6, 4, 0),)


def even_config(out: Path, num_microbatches: int) -> TrainConfig:
    """Return a run without delays, so that no knot is committed and microbatches count equally many knots."""
    window = replace(tiny().window, max_delay_s=0.0, zero_delay_probability=1.0)
    return replace(
        tiny(),
        out=out,
        window=window,
        num_microbatches=num_microbatches,
        optimizer=OptimizerConfig(gradient_clip=0.0, orthogonalize_in="float32"),
        device="cpu",
    )


def all_valid(batch: Batch) -> Batch:
    """Count knots beyond an episode's end too: the mean of means is the mean where all count equally many."""
    return replace(batch, acting=tuple(replace(group, valid=np.ones_like(group.valid)) for group in batch.acting))


def one_step(config: TrainConfig, world: World) -> TrainState:
    """Return a run of `one_robot` after its first step; its parameters still hold the gradients of that step."""
    data = open_data(config, one_robot())
    state = initial_state(config, world)
    with open_batches(config, data, world, 0) as batches:
        train_step(state, config, world, (all_valid(batch) for batch in batches), 1.0)
    return state


def run_processes(mode: str, out: Path, size: int) -> None:
    """Run `size` processes; mode `train` writes a run folder, mode `step` writes gradients and weights."""
    port = str(free_port())
    processes = []
    for rank in range(size):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, __file__, mode, str(out)]
        processes.append(subprocess.Popen(command, env={**os.environ, **place, **meeting, **path}))
    assert [process.wait(timeout=500) for process in processes] == [0] * size


def main(mode: str, out: Path) -> None:
    """Be one of the processes."""
    torch.set_num_threads(1)
    if mode == "train":
        config = replace(tiny(), out=out, steps=6, num_microbatches=2, device="cpu")
        train(config, sources=mixed_sources(), progress=False)
        return
    with join_world("cpu") as world:
        state = one_step(even_config(out, num_microbatches=2), world)
        parameters = dict(state.model.named_parameters())
        gradients = {f"gradient/{name}": p.grad for name, p in parameters.items() if p.grad is not None}
        save_file({**parameters, **gradients}, out / f"process-{world.rank}.safetensors")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
