"""Two processes train like one, because microbatches and not processes decide order and noise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from site_soak import free_port
from torch import nn

from counterpoint.core.errors import ConfigError
from counterpoint.policy.checkpoint import load_checkpoint, load_resume_state
from counterpoint.train.distributed import World

PROGRAM = Path(__file__).with_name("run_as_process.py")


def run_processes(out: Path, size: int) -> None:
    port = str(free_port())
    processes = []
    for rank in range(size):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(PROGRAM), str(out)]
        processes.append(subprocess.Popen(command, env={**os.environ, **place, **meeting}))
    assert [process.wait(timeout=500) for process in processes] == [0] * size


def test_one_process_equals_two_processes(tmp_path: Path) -> None:
    run_processes(tmp_path / "one", 1)
    run_processes(tmp_path / "two", 2)
    one, two = load_resume_state(tmp_path / "one"), load_resume_state(tmp_path / "two")
    assert one.weights.keys() == two.weights.keys()
    for name, weight in one.weights.items():
        torch.testing.assert_close(two.weights[name], weight, rtol=0, atol=1e-5)
    averaged = load_checkpoint(tmp_path / "two").weights
    assert all(torch.allclose(averaged[n], w, atol=1e-5) for n, w in load_checkpoint(tmp_path / "one").weights.items())


def test_microbatches_must_divide_among_processes() -> None:
    world = World(rank=1, size=2, device=torch.device("cpu"))
    assert list(world.own_microbatches(4)) == [2, 3]
    with pytest.raises(ConfigError, match="num_microbatches: expected a multiple of 2, the number of processes, got 3"):
        world.own_microbatches(3)


def test_a_single_process_needs_no_group() -> None:
    world = World(device=torch.device("cpu"))
    parameter = nn.Parameter(torch.ones(2))
    world.sum_gradients([parameter])
    assert parameter.grad is None
    assert world.sum([1.5, 2.0]) == [1.5, 2.0]
