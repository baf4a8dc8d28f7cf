"""Muon and AdamW against plain reference formulas."""

from typing import cast

import pytest
import torch
from torch import nn

from counterpoint.core.errors import CheckpointError, ConfigError
from counterpoint.train.ema import WeightAverage
from counterpoint.train.optimizer import MuonAdamW, OptimizerConfig, orthogonalize
from counterpoint.train.schedule import ScheduleConfig, rate_factor


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 8), (24, 6), (5, 30)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    singular = torch.linalg.svdvals(orthogonalize(random(3, *shape)))
    assert float(singular.min()) > 0.5
    assert float(singular.max()) < 1.3


def test_low_precision_gives_nearly_the_same_directions() -> None:
    matrices = random(3, 12, 40)
    exact, rough = orthogonalize(matrices), orthogonalize(matrices, precision=torch.bfloat16)
    assert float((exact - rough).norm() / exact.norm()) < 0.03


def test_stacked_matrices_are_orthogonalized_like_single_ones() -> None:
    stack = random(4, 6, 9)
    single = torch.stack([orthogonalize(matrix) for matrix in stack])
    torch.testing.assert_close(orthogonalize(stack), single, rtol=1e-5, atol=1e-6)


def test_other_parameters_follow_torch_adamw() -> None:
    ours, theirs = nn.Parameter(random(7, 3)), nn.Parameter(random(7, 3))
    optimizer = MuonAdamW({}, {"w": ours}, OptimizerConfig(learning_rate=0.01, betas=(0.9, 0.98), weight_decay=0.1))
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.98), weight_decay=0.1, eps=1e-8)
    for step in range(5):
        ours.grad, theirs.grad = random(7, 3, seed=step + 1), random(7, 3, seed=step + 1)
        optimizer.step(1.0)
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_hidden_parameters_follow_the_published_update() -> None:
    config = OptimizerConfig(muon_learning_rate=0.1, momentum=0.9, weight_decay=0.01, orthogonalize_in="float32")
    parameter = nn.Parameter(random(6, 3))
    optimizer = MuonAdamW({"w": parameter}, {}, config)
    expected, momentum = parameter.detach().clone(), torch.zeros(6, 3)
    for step in range(3):
        gradient = random(6, 3, seed=step + 1)
        parameter.grad = gradient
        optimizer.step(0.5)
        momentum = 0.9 * momentum + 0.1 * gradient
        update = orthogonalize(0.1 * gradient + 0.9 * momentum) * 2**0.5
        expected = expected * (1 - 0.05 * 0.01) - 0.05 * update
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


def test_parameter_without_gradient_is_left_alone() -> None:
    hidden, other = nn.Parameter(random(4, 4)), nn.Parameter(random(4))
    before = hidden.detach().clone(), other.detach().clone()
    optimizer = MuonAdamW({"h": hidden}, {"o": other}, OptimizerConfig())
    optimizer.step(1.0)
    assert torch.equal(hidden, before[0])
    assert torch.equal(other, before[1])


def test_state_round_trip_goes_on_identically() -> None:
    def make() -> MuonAdamW:
        named = nn.Parameter(random(4, 4)), nn.Parameter(random(4))
        return MuonAdamW({"h": named[0]}, {"o": named[1]}, OptimizerConfig())

    def step(optimizer: MuonAdamW, seed: int) -> None:
        optimizer.hidden["h"].grad, optimizer.other["o"].grad = random(4, 4, seed=seed), random(4, seed=seed)
        optimizer.step(1.0)

    first, second = make(), make()
    step(first, 1)
    step(second, 1)
    third = make()
    third.load_state_dict({name: value.clone() for name, value in second.state_dict().items()})
    for name, parameter in (second.hidden | second.other).items():
        cast(torch.Tensor, (third.hidden | third.other)[name]).data.copy_(parameter.data)
    step(first, 2)
    step(third, 2)
    assert torch.equal(first.hidden["h"], third.hidden["h"])
    assert torch.equal(first.other["o"], third.other["o"])


def test_foreign_state_is_refused() -> None:
    optimizer = MuonAdamW({}, {"o": nn.Parameter(random(4))}, OptimizerConfig())
    with pytest.raises(CheckpointError, match="names differ"):
        optimizer.load_state_dict({"other/first": random(4)})


def test_average_forgets_the_start_and_follows() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for step in range(100):
        average.update(step)
    torch.testing.assert_close(average.weights["weight"], torch.ones(2, 2), rtol=1e-3, atol=1e-3)


def test_wsd_warms_up_stays_and_decays() -> None:
    config = ScheduleConfig(kind="wsd", warmup_fraction=0.1, decay_fraction=0.5, final_factor=0.1)
    factors = [rate_factor(config, fraction) for fraction in (0.0, 0.05, 0.1, 0.5, 0.75, 1.0)]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.55, 0.1])


def test_cosine_falls_to_its_final_factor() -> None:
    config = ScheduleConfig(kind="cosine", warmup_fraction=0.0, final_factor=0.2)
    assert [rate_factor(config, f) for f in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2])


def test_schedule_parts_must_fit_into_the_run() -> None:
    with pytest.raises(ConfigError, match="must fit into the run"):
        ScheduleConfig(warmup_fraction=0.6, decay_fraction=0.6)


def test_optimizer_refuses_a_negative_rate() -> None:
    with pytest.raises(ConfigError, match=r"^learning_rate: expected a positive number"):
        OptimizerConfig(learning_rate=-1.0)
