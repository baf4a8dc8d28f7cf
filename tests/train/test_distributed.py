"""Two processes train like one, and both follow the gradient of the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from data_parallel import all_valid, even_config, one_robot, one_step, run_processes
from safetensors.torch import load_file
from torch import Tensor, nn

from counterpoint.core.batch import Batch
from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import stable_hash
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.tensors import to_tensors
from counterpoint.policy.checkpoint import load_checkpoint, load_resume_state
from counterpoint.train.distributed import World
from counterpoint.train.episodes import open_batches, open_data
from counterpoint.train.state import TrainState, initial_state

ALONE = World(device=torch.device("cpu"))


def first_batches(num_microbatches: int) -> list[Batch]:
    config = even_config(Path("unused"), num_microbatches)
    with open_batches(config, open_data(config, one_robot()), ALONE, 0) as batches:
        return [all_valid(next(batches)) for _ in range(num_microbatches)]


def corrupted(model: HarmonicModel, batch: Batch, microbatch: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return noisy chunks and flow times as `train_step` draws them in its first step."""
    noise = torch.Generator().manual_seed(stable_hash(seed, "noise", 0, microbatch, bits=63))
    noisy, flow_time = model.corrupt(to_tensors(batch), noise)
    return noisy[0], flow_time


def whole_batch_step(out: Path, num_microbatches: int) -> tuple[TrainState, dict[str, Tensor]]:
    """Take the first step on the whole batch at once, with the noise of the microbatches; return its gradient too."""
    config = even_config(out, num_microbatches)
    state = initial_state(config, ALONE)
    (whole,), parts = first_batches(1), first_batches(num_microbatches)
    drawn = [corrupted(state.model, part, i, config.seed) for i, part in enumerate(parts)]
    values = torch.cat([torch.from_numpy(part.acting[0].values) for part in parts])
    assert torch.equal(values, torch.from_numpy(whole.acting[0].values))  # the same windows in the same order
    noisy, flow_time = (torch.cat(each) for each in zip(*drawn, strict=True))
    torch.autograd.backward(state.model.error(to_tensors(whole), [noisy], flow_time).total)
    gradient = gradients(state)
    state.optimizer.step(1.0)
    return state, gradient


def gradients(state: TrainState) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in state.model.named_parameters() if p.grad is not None}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], error: float) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert float((found[name] - tensor).detach().norm()) <= error * float(tensor.detach().norm()) + 1e-9, name


@pytest.mark.parametrize("num_microbatches", [2, 4])
def test_microbatches_average_to_the_whole_batch(tmp_path: Path, num_microbatches: int) -> None:
    whole, expected = whole_batch_step(tmp_path, num_microbatches)
    parts = one_step(even_config(tmp_path, num_microbatches), ALONE)
    assert_close(gradients(parts), expected, 1e-4)
    assert_close(dict(parts.model.named_parameters()), dict(whole.model.named_parameters()), 1e-3)


def test_two_processes_average_to_the_whole_batch(tmp_path: Path) -> None:
    whole, expected = whole_batch_step(tmp_path, 2)
    run_processes("step", tmp_path, 2)
    for rank in range(2):
        saved = load_file(tmp_path / f"process-{rank}.safetensors")
        found = {name.removeprefix("gradient/"): saved.pop(name) for name in [*saved] if name.startswith("gradient/")}
        assert_close(found, expected, 1e-4)
        assert_close(saved, dict(whole.model.named_parameters()), 1e-3)


def test_one_process_equals_two_processes(tmp_path: Path) -> None:
    run_processes("train", tmp_path / "one", 1)
    run_processes("train", tmp_path / "two", 2)
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
    parameter = nn.Parameter(torch.ones(2))
    ALONE.sum_gradients([parameter])
    assert parameter.grad is None
    assert ALONE.sum([1.5, 2.0]) == [1.5, 2.0]
